#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the sessions of documents, and compares what the commands say with what stands there.

sessions.py DOCUMENT... -- COMMAND...     COMMAND... bash -c COMMAND-LINE runs each; TAP
sessions.py --marks DOCUMENT...           what is wrong with the marks of blocks; exit 1 if anything is

A block is indented by four spaces. The line before it is its mark:
    <!-- run -->                a session: "$ " begins a command, whose here-document follows; the
                                other lines are its output, in which "..." is any text, and alone
                                on a line any lines
    <!-- not run: WHY -->       a session that is not run
    <!-- said by FILE -->       FILE, a program, has each line
A block without a command needs no mark.
"""
import os
import re
import subprocess
import sys
import time

SLOW = float(os.environ.get('slow', '1'))
INDENT = '    '


def blocks(path):
    """(mark, [(line number, text)]) of each indented block outside of lists."""
    mark, block = '', []
    with open(path, encoding='utf-8') as file:
        lines = file.read().split('\n')
    for number, line in enumerate(lines + ['end'], 1):
        if line.startswith(INDENT) or not line and block:
            block.append((number, line[len(INDENT):]))
            continue
        if block:
            yield mark, block
            mark, block = '', []
        found = re.fullmatch(r'<!-- (run|not run: .+|said by .+) -->', line)
        mark = found[1] if found else mark if not line else ''


def steps(block):
    """[line number, command, [expected lines]] of a block."""
    found, end = [], None
    for number, line in block:
        if end is not None:
            found[-1][1] += '\n' + line
            if line == end:
                end = None
        elif line.startswith('$ '):
            found.append([number, line[2:], []])
            heredoc = re.search(r"<<'?(\w+)'?", line)
            end = heredoc[1] if heredoc else None
        elif found and (line or found[-1][2]):
            found[-1][2].append(line)
    for step in found:
        while step[2] and not step[2][-1]:
            step[2].pop()
    return found


def pattern(expected):
    """A regular expression for the lines of an output."""
    text = ''
    for line in expected:
        text += '(?:.*\n)*' if line == '...' else \
            r'[^\n]*'.join(re.sub(r'(\\ ){2,}', ' +', re.escape(part)) for part in line.split('...')) + '\n'
    return re.compile(text)


def run(command, runner, folder):
    """What it says; a command with & behind it goes on, and says nothing."""
    if command.endswith('&'):
        command = command[:-1] + '>/dev/null 2>&1 &'
    try:
        result = subprocess.run(runner + ['bash', '-c', f'cd {folder}\n{command}'], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30 * SLOW, check=False)
    except subprocess.TimeoutExpired:
        return 'nothing: it does not end\n'
    return result.stdout.decode('utf-8', 'replace')


def matches(step, runner, folder):
    """'', or how the output differs. A command that says something is asked again for a while."""
    deadline = time.monotonic() + 30 * SLOW
    while True:
        output = run(step[1], runner, folder)
        if pattern(step[2]).fullmatch(output):
            return ''
        if not step[2] or time.monotonic() > deadline:
            return f'{step[1]}\nsays\n{output}instead of\n' + '\n'.join(step[2])
        time.sleep(0.2 * SLOW)


def unmarked(path):
    """What is wrong with the marks of a document, a line each."""
    for mark, block in blocks(path):
        if steps(block) and not mark:
            yield f'{path}:{block[0][0]}: a session without a mark'
        if mark.startswith('said by '):
            with open(mark[len('said by '):], encoding='utf-8') as file:
                source = file.read()
            yield from (f'{path}:{number}: not said by {mark[8:]}' for number, line in block
                        if not all(part in source for part in line.split('...')))


def run_sessions(paths, runner):
    count, failed, folder = 0, 0, '/'
    for path in paths:
        for step in (step for mark, block in blocks(path) if mark == 'run' for step in steps(block)):
            why = matches(step, runner, folder)
            folder = step[1][3:] if step[1].startswith('cd ') else folder
            count += 1
            failed += bool(why)
            print(f'{"not " if why else ""}ok {count} - {path}:{step[0]}: {step[1].splitlines()[0]}', flush=True)
            print(''.join(f'# {line}\n' for line in why.splitlines()), end='', flush=True)
    print(f'1..{count}')
    sys.exit(failed > 0 or not count)


if sys.argv[1] == '--marks':
    sys.exit('\n'.join(line for path in sys.argv[2:] for line in unmarked(path)) or 0)
where = sys.argv.index('--')
run_sessions(sys.argv[1:where], sys.argv[where + 1:])
