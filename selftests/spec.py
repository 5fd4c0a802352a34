#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds the netlink spec (kmod/tlsgate.yaml), the ABI header, the tables of reasons and the
syzkaller description together.

spec.py                   TAP on stdout; exit 1 when a test failed
spec.py --write-reasons   writes docs/reasons.md anew

The kernel's schema and its ynl loader are taken from the
unpacked kernel tools (make linux-tools); without them those tests are skipped.
"""
import os
import re
import subprocess
import sys

import yaml

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
SPEC = os.path.join(ROOT, 'kmod/tlsgate.yaml')
HEADER = os.path.join(ROOT, 'kmod/uapi/tlsgate.h')
LINUX = os.path.join(ROOT, 'build/linux')
SCHEMA = os.path.join(LINUX, 'Documentation/netlink/genetlink-c.yaml')
REASONS = os.path.join(ROOT, 'docs/reasons.md')
YNL = os.path.join(LINUX, 'tools/net/ynl')
SYZKALLER = os.path.join(ROOT, 'selftests/syzkaller')

results = []


def report(ok, name, why=''):
    results.append(ok)
    print(f'{"ok" if ok else "not ok"} {len(results)} - {name}')
    for line in '' if ok else why.splitlines():
        print(f'# {line}')


def skip(name, why):
    results.append(True)
    print(f'ok {len(results)} - {name} # SKIP {why}')


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


# ---- what the header says ------------------------------------------------------------------

def without_comments(text):
    return re.sub(r'/\*.*?\*/', '', text, flags=re.S)


def header_enums(text):
    """{enum name: {enumerator: number}}, without the counting ones at the end."""
    enums = {}
    for name, body in re.findall(r'enum\s+(\w+)\s*\{(.*?)\}', without_comments(text), re.S):
        values, number = {}, -1
        for entry in filter(None, (part.strip() for part in body.split(','))):
            key, _, value = (part.strip() for part in entry.partition('='))
            number = int(value, 0) if value and not value.startswith('__') else number + 1
            if not re.search(r'_MAX$', key):
                values[key] = number
        enums[name] = values
    return enums


def header_defines(text):
    """{name: number} of the defines that are numbers."""
    found = re.findall(r'^#define\s+(TLSGATE_\w+)[ \t]+([0-9xa-fA-F*() ]+?)\s*$',
                       without_comments(text), re.M)
    return {name: eval(value, {'__builtins__': {}}) for name, value in found}


# ---- what the spec says --------------------------------------------------------------------

def c_name(prefix, name):
    return (prefix + name).upper().replace('-', '_')


def entry_names(entries):
    return [entry if isinstance(entry, str) else entry['name'] for entry in entries]


def spec_enums(spec):
    """The same as header_enums(), from the spec."""
    enums = {}
    ops = spec['operations']
    enums['tlsgate_cmd'] = {c_name(ops['name-prefix'], op['name']): i
                            for i, op in enumerate(ops['list'], 1)}
    for group in spec['attribute-sets']:
        names = entry_names(group['attributes'])
        enums[group['enum-name'].replace('-', '_')] = {
            c_name(group['name-prefix'], name): i for i, name in enumerate(names, 1)}
    for enum in spec['definitions']:
        if enum['type'] == 'enum' and enum['name'] != 'tls':
            enums[c_name('tlsgate-', enum['name']).lower()] = {
                c_name(enum['name-prefix'], name): i
                for i, name in enumerate(entry_names(enum['entries']))}
    return enums


def spec_defines(spec):
    defines = {}
    for item in spec['definitions']:
        if item['type'] == 'const':
            defines[c_name('tlsgate-', item['name'])] = item['value']
        elif item['name'] == 'tls':
            for entry in item['entries']:
                defines[c_name(item['name-prefix'], entry['name'])] = entry['value']
    return defines


# ---- comparing ------------------------------------------------------------------------------

def differences(spec, header):
    """One line for each name that is not in both with the same number."""
    lines = []
    for name in sorted(set(spec) | set(header)):
        if spec.get(name) != header.get(name):
            lines.append(f'{name}: {spec.get(name, "absent")} in the spec, '
                         f'{header.get(name, "absent")} in the header')
    return '\n'.join(lines)


def compare(spec, text):
    """{what: differences}, for every enum of both and for the numbers."""
    found = {}
    in_spec, in_header = spec_enums(spec), header_enums(text)
    for values in in_header.values():
        for name in [name for name in values if name.endswith('_UNSPEC')]:
            del values[name]
    for name in sorted(set(in_spec) | set(in_header)):
        found[f'enum {name}'] = differences(in_spec.get(name, {}), in_header.get(name, {}))
    defines = header_defines(text)
    defines.pop('TLSGATE_GENL_VERSION', None)
    found['numbers'] = differences(spec_defines(spec), defines)
    return found


def noticed(spec, text, pattern, replacement):
    """Does comparing see that the header was changed so?"""
    changed, count = re.subn(pattern, replacement, text, count=1)
    return count == 1 and compare(spec, changed) != compare(spec, text)


def check_comparison(spec, text):
    for what, differs in compare(spec, text).items():
        report(not differs, f'spec and header agree: {what}', differs)
    for name, pattern, replacement in (
            ('two attributes exchanged', r'(TLSGATE_A_ID),(.*\n\t)(TLSGATE_A_FD),', r'\3,\2\1,'),
            ('a command left out', r'\tTLSGATE_CMD_SESSION_SET,\n', ''),
            ('a reason added', r'(TLSGATE_REASON_TRUNCATED,)', r'TLSGATE_REASON_NEW, \1'),
            ('a state renamed', r'TLSGATE_STATE_TX_CLOSED,', 'TLSGATE_STATE_SENT_CLOSED,'),
            ('a limit changed', r'(TLSGATE_KEY_MAX\s+)32', r'\g<1>33'),
            ('a version changed', r'0x0304', '0x0305')):
        report(noticed(spec, text, pattern, replacement), f'a change of the header is noticed: {name}')


def check_reasons(text):
    """The tables that name reasons name all of them, each as the header does."""
    want = [name.removeprefix('TLSGATE_REASON_') for name in header_enums(text)['tlsgate_reason']]
    for path in ('userspace/lib/names.c', 'kmod/reason.c'):
        rows = re.findall(r'^\tREASON\((\w+),\s*"(\w+)"', read(os.path.join(ROOT, path)), re.M)
        wrong = [f'{name} is called {shown}' for name, shown in rows if shown != name.lower()]
        if [name for name, _ in rows] != want:
            wrong.append('not the reasons of the header, in its order')
        report(not wrong, f'reasons of {path} are those of the header', '\n'.join(wrong))


def reasons_page():
    """docs/reasons.md, from the library's sentences and the module's table of failures."""
    names = read(os.path.join(ROOT, 'userspace/lib/names.c'))
    core = read(os.path.join(ROOT, 'kmod/reason.c'))
    failures = {name: (error if error != '0' else '', alert) for name, error, alert in
                re.findall(r'^\tREASON\((\w+), "\w+", (\w+), (\w+)\)', core, re.M)}
    lines = [
        '# Why sessions end, and why offloads are refused',
        '',
        '<!-- Written by selftests/spec.py --write-reasons; make check compares. -->',
        '',
        'Every session ends with one of these, and an offload that is refused has one. `tlsgate show`',
        'and `tlsgate monitor` tell them, `/proc/net/tlsgate_stat` counts them as `reason_NAME`.',
        '"errno" is what calls on the socket return from then on, "alert" what the peer is sent.',
        '',
        '| number | name | what it means | errno | alert |',
        '|---|---|---|---|---|']
    found = re.findall(r'^\tREASON\(\w+,\s*"(\w+)",\s*"(.*?)"\)', names, re.M)
    for number, (name, text) in enumerate(found):
        error, alert = failures.get(name.upper(), ('', 'NO_ALERT'))
        alert = alert.removeprefix('ALERT_').lower() if alert != 'NO_ALERT' else ''
        lines.append(f'| {number} | `{name}` | {text} | {error} | {alert} |')
    return '\n'.join(lines) + '\n'


def check_page():
    report(os.path.exists(REASONS) and read(REASONS) == reasons_page(),
           'docs/reasons.md says what the code does', 'run selftests/spec.py --write-reasons')


def check_schema(spec):
    name = 'the spec is valid by the kernel\'s own schema'
    if not os.path.exists(SCHEMA):
        return skip(name, 'no kernel tools: make linux-tools')
    try:
        import jsonschema
    except ImportError:
        return skip(name, 'no python3-jsonschema')
    try:
        jsonschema.validate(spec, yaml.safe_load(read(SCHEMA)))
    except jsonschema.ValidationError as error:
        return report(False, name, f'{list(error.path)}: {error.message}')
    return report(True, name)


def check_ynl(text):
    """ynl's own loader gives the operations the header's numbers."""
    name = 'the kernel\'s ynl loads the spec and numbers it as the header does'
    if not os.path.exists(os.path.join(YNL, 'lib')):
        return skip(name, 'no kernel tools: make linux-tools')
    script = ('import sys; sys.path.insert(0, sys.argv[1]); from lib import SpecFamily\n'
              'family = SpecFamily(sys.argv[2], schema_path="")\n'
              'for name, op in family.msgs.items(): print(name, op.req_value or op.rsp_value)\n')
    ran = subprocess.run([sys.executable, '-c', script, YNL, SPEC], capture_output=True, text=True)
    got = {c_name('tlsgate-cmd-', op): int(number)
           for op, number in (line.split() for line in ran.stdout.splitlines())}
    want = header_enums(text)['tlsgate_cmd']
    want.pop('TLSGATE_CMD_UNSPEC')
    return report(ran.returncode == 0 and got == want, name, ran.stderr or differences(got, want))


def check_syzkaller(text):
    """The description is what its generator writes, and its numbers are the header's."""
    ran = subprocess.run([os.path.join(SYZKALLER, 'generate.py'), '--check'], capture_output=True,
                         text=True)
    report(ran.returncode == 0, 'the syzkaller description is the spec\'s', ran.stdout + ran.stderr)
    want = header_defines(text)
    for values in header_enums(text).values():
        want.update(values)
    found = re.findall(r'^(TLSGATE_\w+) = (\d+)$',
                       read(os.path.join(SYZKALLER, 'tlsgate.txt.const')), re.M)
    wrong = [f'{name}: {number}, {want.get(name, "absent")} in the header'
             for name, number in found if want.get(name) != int(number)]
    report(found and not wrong, 'the syzkaller description has the header\'s numbers',
           '\n'.join(wrong) or 'it has none')
    named = set(re.findall(r'TLSGATE_\w+', read(os.path.join(SYZKALLER, 'tlsgate.txt'))))
    report(named == {name for name, _ in found}, 'every constant of it has a number',
           ', '.join(sorted(named ^ {name for name, _ in found})))


def main():
    if sys.argv[1:] == ['--write-reasons']:
        with open(REASONS, 'w', encoding='utf-8') as file:
            file.write(reasons_page())
        return 0
    spec, text = yaml.safe_load(read(SPEC)), read(HEADER)
    check_comparison(spec, text)
    check_reasons(text)
    check_page()
    check_schema(spec)
    check_ynl(text)
    check_syzkaller(text)
    print(f'1..{len(results)}')
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
