# SPDX-License-Identifier: MIT
"""What tlsgated refuses, in one line that says what to do."""

import os
import re
import socket
import subprocess
import time

from daemonlib.gate import (DEADLINE, TLSGATED, Backend, Gate, Skip, free_port, need, path, run, test,
                            tmp, write)


def refused(status, pattern, *argv, before=()):
    result = subprocess.run([*before, TLSGATED, *argv], cwd=tmp, stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, timeout=DEADLINE)
    lines = [line for line in result.stderr.splitlines() if "data path: " not in line]
    need(result.returncode == status, "status %d: %s" % (result.returncode, result.stderr))
    need(len(lines) == 1, "not one line: " + result.stderr)
    need(re.search(pattern, lines[0]), "says: " + lines[0])


PAIR = ("--cert", "one.pem", "--key", "one.key")
USER = "--data-path=user"


@test
def bad_usage():
    refused(2, "what to do is missing")
    refused(2, "not known", "serve", ":1", "127.0.0.1:2", "--nonsense")
    refused(2, "PORT", "serve", "nowhere", "127.0.0.1:2", *PAIR)
    refused(2, "cert is missing", "serve", ":1", "127.0.0.1:2")
    refused(2, "verify-client refused: it needs client-ca", "serve", ":1", "127.0.0.1:2", *PAIR,
            "--verify-client=require")
    refused(2, "verify-client refused: it is not for mode connect", "connect", ":1", "127.0.0.1:2",
            "--verify-client=require")
    refused(2, "^tlsgated: log-format refused: it needs connection-log", "serve", ":1", "127.0.0.1:2", *PAIR,
            "--log-format=json")
    refused(2, "^tlsgated: control-group refused: there is no control socket", "serve", ":1", "127.0.0.1:2", *PAIR,
            "--control-group=adm")
    refused(2, "^tlsgated: control-mode refused: there is no control socket", "serve", ":1", "127.0.0.1:2", *PAIR,
            "--control=none", "--control-mode=0600")
    refused(2, "stands alone", "-t", "serve", ":1", "127.0.0.1:2")
    refused(2, "given twice", "serve", ":1", "127.0.0.1:2", *PAIR, "--alpn=a", "--alpn=b")
    refused(2, "1.2 or 1.3", "serve", ":1", "127.0.0.1:2", *PAIR, "--min-version=1.1")
    refused(2, "min-version refused: it is newer than max-version: lower it, or raise max-version", "serve", ":1", "127.0.0.1:2",
            *PAIR, "--min-version=1.3", "--max-version=1.2")
    refused(2, "log-facility refused: stderr has none: give log = syslog or journal", "serve", ":1", "127.0.0.1:2", *PAIR,
            "--log-facility=auth")


@test
def help_has_no_trailing_blanks():
    text = subprocess.run([TLSGATED, "--help"], capture_output=True, text=True, check=True).stdout
    need(not re.search("[ \t]$", text, re.M), text)


@test
def help_says_what_a_file_may_have():
    def help_of(*words):
        return subprocess.run([TLSGATED, "help", *words], capture_output=True, text=True, check=True).stdout

    whole = help_of()
    for kind in ("gate", "route", "pass"):
        need("\n  %s NAME { ... } " % kind in whole, whole)
        need(help_of(kind).startswith("%s NAME { ... }\n" % kind), help_of(kind))
    for setting in re.findall("^  --([a-z-]+)", whole, re.M):
        if setting in ("foreground", "version"):
            continue
        text = help_of(setting)
        need("several times" not in text and not re.search("^([.]|and )", text.split("\n\n")[1]), text)
        need("several may be given" not in text or "In a file several are a list: %s = { A, B }." % setting in text, text)


def refused_file(status, text, *patterns, options=()):
    """Each error is one line, in this order, with file, line and column."""
    write("gates.conf", text)
    result = subprocess.run([TLSGATED, *options, "-c", "gates.conf"], cwd=tmp, stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, timeout=DEADLINE)
    lines = [line for line in result.stderr.splitlines() if "data path: " not in line]
    need(result.returncode == status, "status %d: %s" % (result.returncode, result.stderr))
    need(len(lines) == len(patterns), "not %d lines: %s" % (len(patterns), result.stderr))
    for line, pattern in zip(lines, patterns):
        # with the time, once the file itself is sound
        need(re.search("^([-0-9T:.]+Z )?tlsgated: gates.conf:" + pattern, line), "%r is not in: %s" % (pattern, line))


@test
def every_error_of_a_file_with_its_place():
    refused_file(2, """colour = red
gate a {
\tmode = connect
\tlisten = {":80",
\t\t":x"}
\tbackend = "h:443"
}
gate b { mode = connect  listen = ":81"  backend = "h:443"
  verify-client = require
  key = k }
gate d { mode = serve  backend = "h:443"  cert = c  key = k
  listen = nowhere
  verify-client = require }
gate c { mode = serve
  cert = { c }
  cert = { d }
  alpn a
}
""", "1:1: refused: no setting is called 'colour'", "5:3: refused: listen = ':x'",
                 "10:9: refused: gate 'b': key: it needs cert",
                 "9:19: refused: gate 'b': verify-client: it is not for mode connect",
                 "12:12: refused: listen = 'nowhere'",
                 "13:19: refused: gate 'd': verify-client: it needs client-ca",
                 "16:3: refused: cert was given already, in line 15",
                 "17:8: refused: 'a' is not understood here: = is wanted")
    gate = "gate a { mode = connect listen = :80 backend = h:443 }\n"
    refused_file(2, gate + "log-format = json\ncontrol = none\ncontrol-group = adm\n",
                 "4:17: refused: control-group: there is no control socket",
                 "2:14: refused: log-format: it needs connection-log")


@test
def a_quote_that_is_not_closed():
    """The line says where it begins, not where the next one stands."""
    gate = 'gate a {\n mode = connect\n listen = {":80}\n backend = "h:443"\n%s\n}\n'
    not_closed = "refused: the quote is not closed in its line: write "
    refused_file(2, gate % ' ca = "x"', '3:12: %s"' % not_closed)
    refused_file(2, gate % " alpn = 'x\\'\n ca = 'x", '3:12: %s"' % not_closed, "6:7: %s'" % not_closed)
    refused_file(2, gate % ' ca = "x\\"', '3:12: %s"' % not_closed, '5:7: %s"' % not_closed)
    refused_file(2, "gate 'a {\n mode = connect\n listen = :80\n backend = 'h:443'\n}\n", "1:6: %s'" % not_closed)


@test
def what_people_get_wrong_in_a_file():
    """A brace that is missing, a name with a letter too few, addresses and suites as other programs write them."""
    gate = "gate %s {\n mode = connect\n listen = %s\n backend = h:443\n %s\n"
    refused_file(2, gate % ("a", ":80", "idle_timeout = 5") + gate % ("b", '":81,:82"', "chiphersuites = x") + "}\n",
                 "5:2: refused: no setting is called 'idle_timeout': did you mean idle-timeout[?]",
                 "1:1: refused: this gate is not closed: write } before the gate in line 6",
                 "8:11: refused: listen = ':81,:82': it has a comma or a blank: give one HOST:PORT; .*{ A, B }",
                 "10:2: refused: no setting is called 'chiphersuites': did you mean ciphersuites[?]")
    refused_file(2, gate % ("a", ":80", "ssl = true") + "}\n",
                 "5:2: refused: no setting is called 'ssl': see tlsgated --help")
    refused_file(2, gate % ("a", ":80", 'alpn = "h2, http/1.1"') + "}\n",
                 "5:9: refused: alpn = 'h2, http/1.1': it has a blank: write h2,http/1.1")
    refused_file(1, gate % ("a", ":80", "ciphersuites = ECDHE-RSA-AES128-GCM-SHA256") + "}\n",
                 "5:17: refused: gate 'a': ciphersuites .* is not known: give IANA names, as tlsgate ciphers lists them")


@test
def blocks_that_are_none():
    """One line says what is meant, and nothing of what is in them."""
    gate = "gate a {\n mode = connect\n listen = :80\n backend = h:443\n%s\n}\n"
    inside = "{ backend = { a:1,\n b:1 } mode = x }"
    wanted = "is not understood here: %s is wanted: route NAME { ... }"
    for text, said in (("rout a.example " + inside, "no block is called 'rout': did you mean route[?]"),
                       ("pas a.example\n" + inside, "no block is called 'pas': did you mean pass[?]"),
                       ("upstream x " + inside, "no block is called 'upstream': in a gate there are route NAME .* and pass NAME"),
                       ('rout "a b" ' + inside, "no block is called 'rout': did you mean route[?]"),
                       ('rout "{"', "'rout' is not understood here: no setting is called so")):
        refused_file(2, gate % text, "5:1: refused: " + said)
    refused_file(2, gate % ("route " + inside), "5:7: refused: '{' " + wanted % "a name")
    refused_file(2, gate % ("route a b " + inside), "5:9: refused: 'b' " + wanted % "{")
    refused_file(2, gate % ("route a, b " + inside), "5:8: refused: ',' " + wanted % "{")
    for kind in ("route", "pass"):
        refused_file(2, "%s a %s\n" % (kind, inside) + gate % "",
                     "1:1: refused: %s belongs to a gate: write it into gate NAME" % kind)
    refused_file(2, "gaet a %s\n" % inside, "1:1: refused: no block is called 'gaet': did you mean gate[?]")
    refused_file(2, "server %s\n" % inside, "1:1: refused: no block is called 'server': write gate NAME")
    refused_file(2, "gate %s\n" % inside, "1:6: refused: '{' is not understood here: a name is wanted: gate NAME")
    refused_file(2, gate % "route b { backend = a:1",
                 "1:1: refused: this gate is not closed: write } at its end, or at that of the route in line 5")


@test
def values_without_quotes():
    gate = "gate a {\n mode = serve\n listen = :80\n backend = h:443\n%s\n}\n"
    quotes = "is not understood here: a value that has = or , in it stands in quotes"
    refused_file(2, gate % "idle-timeout = 30 s", "5:19: refused: 's' is not understood here: no setting is called so: .* in quotes")
    refused_file(2, gate % "allow-client = CN=x", "5:18: refused: '=' " + quotes)
    refused_file(2, gate % "alpn = h2,http/1.1", "5:10: refused: ',' " + quotes)
    refused_file(2, gate % "alpn = { h2, http/1.1 }\ncert = c\nkey = k",
                 '5:8: refused: alpn takes one value, not a list: write alpn = "a,b"')


@test
def what_other_programs_have_otherwise():
    """The line says how it is written here."""
    gate = "gate a { mode = serve cert = one.pem key = one.key client-ca = ca.pem data-path = user alpn = 'h2,x'\n listen = '%s'\n backend = '%s'\n%s\n}\n"
    here, there = "127.0.0.1:%d" % free_port(), "127.0.0.1:2"
    refused_file(2, gate % ("*:443", there, ""), "2:11: refused: listen = '.*': every address is written without a [*]: \":PORT\"")
    for backend, why in ((there + " weight=3", "a weight is written \"ADDRESS weight 3\""),
                         (there + " backup", "no backend waits until others are down"),
                         ("unix:/x,mode=0600", "mode=, user= and group= are those of listen: leave them out")):
        refused_file(2, gate % (here, backend, ""), "3:12: refused: backend = '.*': " + why)
    for setting, value, why in (("max-connections", "0", "it must be a number from 1 to 1000000: leave it out for no limit"),
                                ("handshake-rate", "unlimited", "it must be a number from 1 to 4000: leave it out for no limit"),
                                ("keepalive", "off", ".* or 0 for none"), ("idle-timeout", "none", ".*, or 0$"),
                                ("keepalive-interval", "0", "it must be a time in whole seconds from 1s to 9h; ")):
        refused_file(2, gate % (here, there, "%s = %s" % (setting, value)), "4:[0-9]+: refused: %s = '%s': %s" % (setting, value, why))
    refused_file(1, gate % (here, there, "allow-client = 'CN=*'"),
                 "4:16: refused: gate 'a': allow-client 'CN=[*]': CN= has no wildcard: give the whole name, or DNS:[*].DOMAIN")
    route = "route %s { backend = a:1 alpn = %s }\n"
    for name, why in (("192.0.2.1", "it is an address or has a port"), ("'2001:db8::1'", "it is an address or has a port"),
                      ("a.example.", "TLS has names without a dot at the end: leave it out"),
                      ("b\u00fccher.example", "TLS has this name in its form of ASCII only: give xn--")):
        refused_file(2, gate % (here, there, route % (name, "h2")), "4:7: refused: gate 'a': route '.*': " + why)
    refused_file(2, gate % (here, there, route % ("a.example", "h2") + route % ("a.example", "'x,h2'")),
                 "5:7: refused: gate 'a': route 'a.example': it is there already for 'h2', in line 4: keep one of them")


@test
def what_has_no_effect_on_unix_sockets():
    gate = "gate a { mode = serve listen = %s backend = h:80 cert = c key = k\n %s\n}\n"
    refused_file(2, gate % ("unix:@a", "bind-device = lo max-per-address = 5\n fast-open = true"),
                 "2:16: refused: gate 'a': bind-device: a UNIX socket is of no device",
                 "3:14: refused: gate 'a': fast-open: it is TCP's",
                 "2:37: refused: gate 'a': max-per-address: clients of UNIX sockets have no address: give max-connections")
    refused_file(2, gate % (":443", 'accept-proxy = {"10.0.0.0/8", "unix"}'),
                 "2:[0-9]+: refused: gate 'a': accept-proxy 'unix': the gate listens on no UNIX socket")


@test
def a_file_without_any_ca_is_warned_of():
    gate = "gate a { mode = serve listen = \"127.0.0.1:%d\" backend = \"127.0.0.1:2\" cert = one.pem key = one.key data-path = user\n client-ca = %s\n}\n"
    refused_file(2, gate % (free_port(), "one.pem"), "2:14: gate 'a': client-ca 'one.pem': it has no CA's certificate: only who shows one of its own passes: give that of the CA",
                 " gates: 1, nothing is refused; see the warnings", options=("-t",))
    refused_file(0, gate % (free_port(), "ca.pem"), " gates: 1, nothing is refused", options=("-t",))


def many(name):
    return "{ %s }" % ", ".join([name] * 30)


@test
def what_goes_not_with_delivery():
    gate = "gate a { mode = serve listen = %s backend = %s cert = c key = k\n deliver = auto\n %s\n}\n"
    refused_file(2, gate % (":443", "127.0.0.1:80", "proxy-protocol = true idle-timeout = 5\n data-path = user"),
                 "3:39: refused: gate 'a': idle-timeout: with deliver the server",
                 "3:19: refused: gate 'a': proxy-protocol: a delivered connection cannot begin with a header",
                 "4:14: refused: gate 'a': data-path: deliver needs the kernel: give auto or kernel")
    refused_file(2, gate % (":443", "[::1]:80", "keepalive = 5\n keepalive-interval = 5"),
                 "3:14: refused: gate 'a': keepalive: with deliver the server's socket",
                 "4:23: refused: gate 'a': keepalive-interval: with deliver the server's socket")
    refused_file(2, gate % (":443", "unix:/run/x", ""), "1:47: refused: gate 'a': backend 'unix:/run/x': .*UNIX socket")
    for name in ("example.org:80", "localhost:80"):
        refused_file(2, gate % (":443", name, ""), "1:47: refused: gate 'a': backend '%s': .*give one address" % name)
    refused_file(2, gate % ('{ ":443", "127.0.0.1:444" }', "[::1]:80", ""),
                 "1:42: refused: gate 'a': listen '127.0.0.1:444': .*IPv6 server")
    refused_file(2, gate % ('{ "[::]:443", "[2001:db8::1]:444", "[::ffff:127.0.0.1]:445" }', "127.0.0.1:80", ""),
                 r"1:46: refused: gate 'a': listen '\[2001:db8::1\]:444': .*IPv4 server")
    refused_file(2, "gate a { mode = connect listen = :80 backend = h:443\n deliver = auto }\n",
                 "2:12: refused: gate 'a': deliver: it is not for mode connect")


@test
def what_has_many_errors_is_few_lines():
    colour = "%d:1: refused: no setting"
    more = "there are more errors: correct these first"
    empty = "".join("gate g%d { mode = serve }\n" % i for i in range(256))
    missing = ("listen is missing", "backend is missing", "cert is missing")
    refused_file(2, empty, *["%d:6: refused: gate 'g%d': %s" % (i + 1, i, text)
                             for i in range(7) for text in missing][:20], " refused: " + more)
    refused_file(2, 20 * "colour = red\n", *(colour % (i + 1) for i in range(20)))
    refused_file(2, 21 * "colour = red\n", *(colour % (i + 1) for i in range(20)), " refused: " + more)
    # what the gates are built of: by the monitor, and by keyd
    for cert, key in (("absent", "one.key"), ("one.pem", "absent"), ("absent", "absent")):
        write("check.conf", (GATE % (free_port(), many(cert))).replace("one.key", many(key)))
        for options in (("-t", "-c"), ("-c",)):
            result = subprocess.run([TLSGATED, *options, "check.conf"], cwd=tmp, stdin=subprocess.DEVNULL,
                                    capture_output=True, text=True, timeout=DEADLINE)
            lines = [line for line in result.stderr.splitlines() if "refused: " in line]
            need(result.returncode == 1 and len(lines) == 21 and lines[20].endswith("refused: " + more), result.stderr)


def make_ending_certificate(name, days):
    """By `ca`: since OpenSSL 3.5, no other command takes an end in the past."""
    write("ca.txt", "")
    write("ca.cnf", "[ca]\ndefault_ca = x\n[x]\ndatabase = ca.txt\nnew_certs_dir = .\ndefault_md = sha256\n"
          "rand_serial = yes\npolicy = any\n[any]\ncommonName = supplied\n")
    end = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * 86400))
    run("openssl", "ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", "one.csr",
        "-startdate", "20200101000000Z", "-enddate", end, "-extfile", "ext", "-notext",
        "-out", name)


GATE = """gate web {
  mode = serve
  data-path = user
  listen = ":%d"
  backend = "127.0.0.1:2"
  cert = %s
  key = one.key
}
"""


@test
def dry_run():
    def checks(status, text, *patterns):
        write("check.conf", text)
        before = set(os.listdir(tmp))
        result = subprocess.run([TLSGATED, "-t", "-c", "check.conf"], cwd=tmp, stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=DEADLINE)
        need(result.returncode == status, "status %d: %s" % (result.returncode, result.stderr))
        need(set(os.listdir(tmp)) == before, "it wrote a file")
        for pattern in patterns:
            need(re.search(pattern, result.stderr), "%r is not in: %s" % (pattern, result.stderr))

    make_ending_certificate("soon.pem", 13)
    make_ending_certificate("ended.pem", -1)
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):     # it does not listen
        checks(0, "keylog = keys.log\n" + GATE % (port, "one.pem"), "gates: 1, nothing is refused")
    checks(2, GATE % (port, "soon.pem"),
           r"check.conf:6:10: gate 'web': cert 'soon.pem': certificate 1 in it ends on 20\d\d-\d\d-\d\d ")
    checks(2, GATE % (port, "ended.pem"), r"certificate 1 in it has ended on 20\d\d-")
    checks(1, GATE % (port, "two.pem"), "check.conf:7:9: refused: gate 'web': key 'one.key'")
    checks(1, GATE % (port, "absent") + (GATE % (free_port(), "two.pem")).replace("web", "other"),
           "check.conf:6:10: .*absent", "check.conf:15:9: .*one.key")
    checks(1, "nonsense\n", "check.conf:1:1: ")
    checks(1, "control-group = nosuchgroup\ncontrol = /run/nosuch\n" + GATE % (port, "one.pem"),
           "check.conf:1:17: refused: control-group 'nosuchgroup': there is no such group")
    if os.geteuid() == 0:
        checks(1, "user = nosuchuser\nkey-user = norhim\n" + GATE % (port, "one.pem"),
               "check.conf:1:8: refused: user 'nosuchuser': there is no such user",
               "check.conf:2:12: refused: key-user 'norhim': there is no such user")
        checks(1, "\nuser = root\n" + GATE % (port, "one.pem"),
               "^([-0-9T:.]+Z )?tlsgated: check.conf:2:8: refused: user 'root': it is root[^\n]*\n(.*data path.*\n)?$")
    for there in (":%d", "0.0.0.0:%d", "127.0.0.1:%d"):
        there = there % port
        checks(1, "metrics = %s\n" % there + GATE % (port, "one.pem"),
               "check.conf:1:11: refused: metrics '%s': gate 'web' listens on ':%d': give another address" % (there, port))


@test
def where_nobody_can_listen():
    """The start says it of each address, with its place, and the dry run finds it before."""
    write("plain.file", "")
    gate = """gate %s { mode = serve data-path = user cert = one.pem key = one.key backend = 127.0.0.1:2
 listen = %s
}
"""
    here = "127.0.0.1:%d" % free_port()
    text = (gate % ("a", "{ %s, '192.0.2.77:4433' }" % here) + gate % ("b", "'[2001:db8::77]:4433'") +
            gate % ("c", "127.0.0.2:%d\n bind-device = nodevice0" % free_port()) +
            gate % ("d", "'unix:%s,user=nosuchuser'" % path("d.sock")) +
            gate % ("e", "'unix:%s,group=4294967295'" % path("e.sock")) +
            gate % ("f", "'unix:%s'" % path("plain.file")) +
            gate % ("g", "'unix:%s'" % path("plain.file/g.sock")))
    lines = ("2:%d: refused: gate 'a': listen '192.0.2.77:4433': Cannot assign .*give another one, or freebind" % (15 + len(here)),
             r"5:11: refused: gate 'b': listen '\[2001:db8::77\]:4433': ",
             "9:16: refused: gate 'c': bind-device 'nodevice0': No such device: there is no such network device: correct it",
             "12:11: refused: gate 'd': listen '.*user=nosuchuser': .*there is no such user or group: correct user= and group=",
             "15:11: refused: gate 'e': listen '.*group=4294967295': .*there is no such user or group",
             "18:11: refused: gate 'f': listen '.*': File exists: there is a file that is no socket: give another path",
             "21:11: refused: gate 'g': listen '.*': Not a directory: its folder is none: correct the path")
    refused_file(1, text, *lines)
    refused_file(1, text, *lines, options=("-t",))
    text = gate % ("a", "'unix:%s'" % path("absent/a.sock"))
    refused_file(1, text, "2:11: refused: gate 'a': listen '.*': No such file or directory: its folder is not there: create it")
    refused_file(2, text, "2:11: gate 'a': listen '.*': its folder is not there: see that it is at the start",
                 " gates: 1, nothing is refused; see the warnings", options=("-t",))
    need(not os.path.exists(path("d.sock")), "a socket is left")


@test
def bad_files():
    write("garbage", "no PEM at all\n")
    refused(1, "absent.*No such file.*-c FILE names another", "-c", "absent.conf")
    refused(1, "absent.*No such file", "serve", ":1", "127.0.0.1:2", "--cert=absent", "--key=one.key", USER)
    refused(1, "keylog '/absent/log' refused: No such file or directory: give a file that can be", "serve", ":1", "127.0.0.1:2",
            *PAIR, USER, "--keylog=/absent/log")
    refused(1, "cert '.' refused: it is a directory: give a file", "serve", ":1", "127.0.0.1:2", "--cert=.", "--key=one.key", USER)
    refused(1, "garbage.*PEM", "serve", ":1", "127.0.0.1:2", "--cert=garbage", "--key=one.key", USER)
    refused(1, "garbage.*PEM", "serve", ":1", "127.0.0.1:2", "--cert=one.pem", "--key=garbage", USER)
    refused(1, "not the key of certificate", "serve", ":%d" % free_port(), "127.0.0.1:2", "--cert=one.pem",
            "--key=two.key", USER)
    refused(1, "ca 'garbage'.*no PEM", "connect", ":1", "localhost:2", "--ca=garbage", USER)
    run("openssl", "pkcs8", "-topk8", "-in", "one.key", "-passout", "pass:x", "-out", "locked")
    refused(1, "locked", "serve", ":%d" % free_port(), "127.0.0.1:2", "--cert=one.pem", "--key=locked", USER)


@test
def files_of_another_kind():
    run("openssl", "x509", "-in", "one.pem", "-outform", "DER", "-out", "one.der")
    run("openssl", "x509", "-in", "one.pem", "-trustout", "-out", "one.trusted")
    run("openssl", "pkcs12", "-export", "-in", "one.pem", "-inkey", "one.key", "-passout", "pass:",
        "-out", "one.p12")
    run("openssl", "pkey", "-in", "one.key", "-outform", "DER", "-out", "one.key.der")
    with open(path("upside.pem"), "w") as chain:
        for name in ("ca.pem", "one.pem"):
            with open(path(name)) as file:
                chain.write(file.read())
    if not os.path.exists(path("fifo")):
        os.mkfifo(path("fifo"))
    for cert, pattern in (("one.der", "DER.*openssl x509"), ("one.trusted", "TRUSTED.*openssl x509"),
                          ("one.p12", "PKCS#12.*openssl pkcs12"), ("fifo", "no regular file")):
        refused(1, "cert '%s' refused: .*%s" % (cert, pattern), "serve", ":1", "127.0.0.1:2", "--cert=" + cert,
                "--key=one.key", USER)
    listen = ":%d" % free_port()
    refused(1, "key 'one.key.der' refused: .*DER.*openssl pkey", "serve", listen, "127.0.0.1:2", "--cert=one.pem",
            "--key=one.key.der", USER)
    refused(1, "it is the key of certificate 2 in 'upside.pem'", "serve", listen, "127.0.0.1:2",
            "--cert=upside.pem", "--key=one.key", USER)
    refused(1, "ca 'one.der' refused: .*DER", "connect", ":1", "127.0.0.1:2", "--ca=one.der", USER)


@test
def gates_that_can_never_shake_hands():
    listen, old = ":%d" % free_port(), "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
    never = "refused: no handshake can succeed"
    nothing = "ciphersuites '%s' refused: none is of a version from min-version to max-version" % old
    refused(1, nothing, "serve", listen, "127.0.0.1:2", *PAIR, USER, "--min-version=1.3", "--ciphersuites=" + old)
    refused(1, "cert 'one.pem' " + never, "serve", listen, "127.0.0.1:2", *PAIR, USER,
            "--ciphersuites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")
    connect = ("connect", listen, "127.0.0.1:2", "--ca=ca.pem", "--server-name=localhost", USER)
    refused(1, nothing, *connect, "--min-version=1.3", "--ciphersuites=" + old)
    refused(1, nothing, *connect, *PAIR, "--min-version=1.3", "--ciphersuites=" + old)


@test
def gates_in_each_others_way():
    port, other = free_port(), free_port()
    refused(1, "leads back", "serve", ":%d" % port, "127.0.0.1:%d" % port, *PAIR, USER)
    for host in ("0.0.0.0", "[::ffff:127.0.0.1]", "[::ffff:0.0.0.0]"):
        refused(1, "leads back", "serve", "127.0.0.1:%d" % port, "%s:%d" % (host, port), *PAIR, USER)
    refused(1, "leads back", "serve", "0.0.0.0:%d" % port, "[::ffff:127.0.0.1]:%d" % port, *PAIR, USER)
    refused(1, "leads back", "serve", "[::1]:%d" % port, "[::]:%d" % port, *PAIR, USER)
    gate = """gate %s { mode = connect  data-path = user  ca = ca.pem  server-name = localhost
  listen = { %s }
  backend = "%s" }
"""
    round_trip = (gate % ("a", '"127.0.0.1:%d"' % port, "127.0.0.1:%d" % other) +
                  gate % ("b", '":%d"' % other, "localhost:%d" % port))
    refused_file(1, round_trip, "3:13: refused: gate 'a': backend.*leads back",
                 "6:13: refused: gate 'b': backend.*leads back")
    twice = gate % ("a", '":%d", ":%d"' % (port, other), "127.0.0.1:2") + gate % (
        "b", '"127.0.0.1:%d"' % port, "127.0.0.1:2")
    refused_file(1, twice, "5:14: refused: gate 'b': listen .*gate 'a' listens on ':%d' already" % port)


@test
def a_configuration_has_bounds():
    """What is compared with each other when it is read anew has a number; a line is logged once for each fault."""
    gate = """gate %s { mode = connect  data-path = user  ca = ca.pem  server-name = localhost
  backend = "127.0.0.1:2"
  listen = { %s } }
"""
    one = gate % ("a", ",\n".join('"127.0.1.%d:%d"' % (i % 200, 5000 + i) for i in range(1000)))
    for more, status in ((24, 0), (25, 2)):
        write("many.conf", one + gate % ("b", ", ".join('"127.0.2.1:%d"' % (7000 + i) for i in range(more))))
        result = subprocess.run([TLSGATED, "-t", "-c", "many.conf"], cwd=tmp, stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=DEADLINE)
        said = "more than 1024 addresses" in result.stderr
        need(said == bool(status) and bool(result.returncode) == said, result.stderr[-300:])
    again = "3:%d: refused: gate 'a': listen .*gate 'a' listens on ':4000' already"
    refused_file(1, gate % ("a", '":4000", "127.0.0.1:4000", "127.0.0.2:4000", "127.0.0.3:4000"'),
                 again % 23, again % 41, again % 59)


@test
def bad_names():
    refused(1, "TLS_NOTHING.*not known", "serve", ":1", "127.0.0.1:2", *PAIR, "--ciphersuites=TLS_NOTHING")
    refused(1, r"nowhere.*not known; see groups in tlsgated.conf\(5\)", "serve", ":1", "127.0.0.1:2", *PAIR,
            "--groups=x25519:nowhere")
    refused(1, "X25519' is in it twice", "serve", ":1", "127.0.0.1:2", *PAIR, "--groups=X25519:P-256:X25519")
    refused(1, "secp256r1' is in it twice", "serve", ":1", "127.0.0.1:2", *PAIR, "--groups=P-256:secp256r1")
    refused(2, "URL", "serve", ":1", "http://localhost:80", *PAIR)
    refused(2, "xn--", "connect", ":1", "b\u00fccher.example:443")
    refused(1, "xn--", "connect", ":1", "127.0.0.1:443", "--ca=ca.pem", "--server-name=b\u00fccher.example")
    refused(2, "BACKEND ':2' refused: a backend has a host: write 127.0.0.1:PORT", "serve", ":1", ":2", *PAIR)
    refused(1, "raise the limit of open files", "serve", "127.0.0.1:%d" % free_port(), "127.0.0.1:2", *PAIR, USER,
            "--workers=32", before=("prlimit", "--nofile=24:24"))
    refused(1, "listen '192.0.2.77:4433' refused: Cannot assign requested address", "serve", "192.0.2.77:4433", "127.0.0.1:2", *PAIR, USER)


@test
def port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused(1, "in use.*another address", "serve", "127.0.0.1:%d" % port, "127.0.0.1:2", *PAIR, USER)


@test
def port_of_another_tlsgated():
    with Backend() as backend, Gate("serve", backend.address) as gate:
        refused(1, "in use.*another address", "serve", "127.0.0.1:%d" % gate.port, "127.0.0.1:2", *PAIR, USER)


@test
def kernel_without_module():
    if os.path.exists("/sys/module/tlsgate"):
        raise Skip("the module is loaded here")
    refused(1, "data-path 'kernel' refused.*not loaded", "serve", ":%d" % free_port(), "127.0.0.1:2", *PAIR,
            "--data-path=kernel")
