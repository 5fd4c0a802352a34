// SPDX-License-Identifier: MIT
/* Linked to a unit test, puts the whole of it under a filter. */
#include "enter.h"

__attribute__((constructor)) static void enter(void)
{
	sandbox_enter();
}
