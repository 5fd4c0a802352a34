#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the syzkaller description of the netlink family from kmod/tlsgate.yaml.

generate.py           writes tlsgate.txt and tlsgate.txt.const beside this file
generate.py --check   exit 1, and a line for each file, where they are not what it would write

syzkaller takes both in sys/linux/. Values of constants are in the .const file, since the ABI header
is in no kernel tree that syz-extract knows.
"""
import os
import sys

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
SPEC = os.path.join(HERE, '../../kmod/tlsgate.yaml')

# What an attribute holds beyond its type, by name: a resource or values that reach further.
KNOWN = {
    'fd': 'sock_tcp',
    'relay-fd': 'tlsgate_plain_fd',
    'deliver-fd': 'tlsgate_handle',
    'local': 'tlsgate_end',
    'server': 'tlsgate_end',
    'id': 'int32[0:64]',
    'suite': 'flags[tlsgate_suite_values, int16]',
    'key': 'array[int8]',
    'iv': 'array[int8]',
    'secret': 'array[int8]',
}

# IANA numbers; a number that the module has no row for is worth trying, too.
SUITES = (0x1301, 0x1302, 0x1303, 0xc02f, 0xc030, 0xcca8, 0x1304)

HEADER = '''\
# Written by selftests/syzkaller/generate.py from kmod/tlsgate.yaml.
# SPDX-License-Identifier: MIT

include <uapi/linux/genetlink.h>

resource genl_tlsgate_family_id[int16]
resource tlsgate_handle[fd]

tlsgate_end [
	v4	sockaddr_in
	v6	sockaddr_in6
] [varlen]

tlsgate_plain_fd [
	tcp	sock_tcp
	unix	sock_unix_stream
	any	fd
]

syz_genetlink_get_family_id$tlsgate(name ptr[in, string["tlsgate"]], fd sock_nl_generic) genl_tlsgate_family_id
'''

SEND = '''\
sendmsg$%s(fd sock_nl_generic, msg ptr[in, msghdr_netlink[netlink_msg_t[genl_tlsgate_family_id, genlmsghdr_t[%s], %s]]], f flags[send_flags])
'''


def c_name(prefix, name):
    return (prefix + name).upper().replace('-', '_')


def spec_load():
    with open(SPEC, encoding='utf-8') as file:
        return yaml.safe_load(file)


def entries(enum):
    """(name, value) of each of an enum's."""
    number = -1
    for entry in enum['entries']:
        named = isinstance(entry, dict)
        number = entry.get('value', number + 1) if named else number + 1
        yield c_name(enum['name-prefix'], entry['name'] if named else entry), number


def constants(spec):
    """{name: value} of all that the description names."""
    found = {}
    ops = spec['operations']
    for number, op in enumerate(ops['list'], 1):
        found[c_name(ops['name-prefix'], op['name'])] = number
    for group in spec['attribute-sets']:
        for number, attr in enumerate(group['attributes'], 1):
            found[c_name(group['name-prefix'], attr['name'])] = number
    for item in spec['definitions']:
        if item['type'] == 'enum':
            found.update(entries(item))
        else:
            found[c_name('tlsgate-', item['name'])] = item['value']
    return found


def enum_name(name):
    return f'tlsgate_{name.replace("-", "_")}_values'


def payload(spec, attr):
    """The description of what an attribute holds."""
    if attr['name'] in KNOWN:
        return KNOWN[attr['name']]
    width = attr['type'].replace('u', 'int')
    if attr['type'] == 'nest':
        return f'array[tlsgate_{attr["nested-attributes"].replace("-", "_")}_attr]'
    if attr['type'] == 'binary':
        return 'array[int8]'
    if attr['type'] == 'string':
        return 'string'
    if 'enum' in attr:
        return f'flags[{enum_name(attr["enum"])}, {width}]'
    if 'max' in attr.get('checks', {}):
        limit = attr['checks']['max']
        return f'{width}[0:{c_name("tlsgate-", limit) if isinstance(limit, str) else limit}]'
    return width


def line_of(spec, group, attr):
    name = c_name(group['name-prefix'], attr['name'])
    kind = 'nlnest' if attr['type'] == 'nest' else 'nlattr'
    return f'\t{name}\t{kind}[{name}, {payload(spec, attr)}]'


def requests(spec):
    """(operation, names of the attributes it takes), of those that can be sent."""
    for op in spec['operations']['list']:
        way = op.get('do') or op.get('dump')
        if way:
            yield op, way.get('request', {}).get('attributes', [])


def union_name(op, names):
    """One that takes no attribute is sent another's."""
    return f'tlsgate_{op["name"].replace("-", "_") if names else "session_get"}_attr'


def description(spec):
    groups = {group['name']: group for group in spec['attribute-sets']}
    out = [HEADER]
    for op, names in requests(spec):
        name = c_name(spec['operations']['name-prefix'], op['name'])
        out.append(SEND % (name, name, union_name(op, names)))
    for op, names in requests(spec):
        if not names:
            continue
        group = groups[op['attribute-set']]
        attrs = [attr for attr in group['attributes'] if attr['name'] in names]
        body = [line_of(spec, group, attr) for attr in attrs]
        out.append('\n'.join([f'\n{union_name(op, names)} [', *body, '] [varlen]\n']))
    keys = groups['keys']
    body = [line_of(spec, keys, attr) for attr in keys['attributes'] if attr['type'] != 'pad']
    out.append('\n'.join(['\ntlsgate_keys_attr [', *body, '] [varlen]\n']))
    for item in spec['definitions']:
        if item['type'] == 'enum' and item['name'] in ('tls', 'role', 'close-how'):
            names = ', '.join(name for name, _ in entries(item))
            out.append(f'\n{enum_name(item["name"])} = {names}')
    out.append('\ntlsgate_suite_values = ' + ', '.join(hex(suite) for suite in SUITES) + '\n')
    return ''.join(out)


def const_file(spec, text):
    """Those that the description names, and no others."""
    lines = ['# Written by selftests/syzkaller/generate.py.', 'arches = 386, amd64, arm64']
    names = {word for word in text.replace('[', ' ').replace(']', ' ').replace(',', ' ')
             .replace('(', ' ').replace('$', ' ').replace(':', ' ').split()}
    lines += [f'{name} = {value}' for name, value in sorted(constants(spec).items())
              if name in names]
    return '\n'.join(lines) + '\n'


def files():
    """{path: text} of all that is written."""
    spec = spec_load()
    text = description(spec)
    path = os.path.join(HERE, 'tlsgate.txt')
    return {path: text, path + '.const': const_file(spec, text)}


def stale():
    """Names of files that are not what would be written."""
    wrong = []
    for path, text in files().items():
        try:
            with open(path, encoding='utf-8') as file:
                same = file.read() == text
        except FileNotFoundError:
            same = False
        if not same:
            wrong.append(os.path.basename(path))
    return wrong


def main():
    if sys.argv[1:] == ['--check']:
        for name in stale():
            print(f'{name}: run selftests/syzkaller/generate.py')
        return 1 if stale() else 0
    for path, text in files().items():
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
    return 0


if __name__ == '__main__':
    sys.exit(main())
