// SPDX-License-Identifier: MIT
/* As fuzz/main.c for the files that it is given: all are read, then comes the filter. */
#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "enter.h"
#include "fuzz/fuzz.h"

#define MAX_FILE	(1u << 20)

struct input {
	char *data;
	size_t len;
};

int main(int argc, char **argv)
{
	struct input *inputs = xcalloc((size_t)argc, sizeof(*inputs));
	int i;

	for (i = 1; i < argc; i++) {
		inputs[i].data = file_read(argv[i], MAX_FILE, &inputs[i].len);
		if (!inputs[i].data) {
			perror(argv[i]);
			return 2;
		}
	}
	sandbox_enter();
	for (i = 1; i < argc; i++) {
		fprintf(stderr, "# %s\n", argv[i]);
		LLVMFuzzerTestOneInput((const uint8_t *)inputs[i].data, inputs[i].len);
		free(inputs[i].data);
	}
	free(inputs);
	printf("%d\n", argc - 1);
	return argc > 1 ? 0 : 2;
}
