# SPDX-License-Identifier: MIT
"""The metrics with Prometheus itself, of the Debian package that selftests/deps.sh unpacks into build/prometheus."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from daemonlib.gate import DEADLINE, TOP, Backend, Skip, echo, free_port, log_text, need, path, test, tmp, wait_until, write
from daemonlib.metrics import Exporter, outcome

UNPACKED = os.path.join(TOP, "build/prometheus/usr/bin")
RULES = os.path.join(TOP, "packaging/prometheus-rules.yml")
DASHBOARD = os.path.join(TOP, "packaging/grafana-dashboard.json")
# What Grafana puts into the queries of a dashboard.
VARIABLES = {"$instance": ".*", "$gate": ".*", "$__rate_interval": "5s", "$__range": "1h"}
NAME = re.compile(r"\btlsgated?_[a-z_]+")


def program(name):
    if not os.path.exists(os.path.join(UNPACKED, name)):
        raise Skip("there is no %s: selftests/deps.sh check fetches it" % name)
    return os.path.join(UNPACKED, name)


def promtool(*argv, **options):
    ran = subprocess.run([program("promtool"), *argv], cwd=tmp, capture_output=True, text=True, timeout=DEADLINE, **options)
    need(ran.returncode == 0, "promtool %s: %s%s" % (argv, ran.stdout, ran.stderr))
    return ran


class Prometheus:
    """Scrapes a gate's metrics five times a second, with our rules."""

    def __init__(self, gate):
        self.port = free_port()
        shutil.copy(RULES, path("prometheus-rules.yml"))
        shutil.rmtree(path("tsdb"), ignore_errors=True)
        write("prometheus.yml", json.dumps({
            "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"},
            "rule_files": ["prometheus-rules.yml"],
            "scrape_configs": [{"job_name": "tlsgate", "static_configs": [{"targets": ["127.0.0.1:%d" % gate.scraped]}]}]}))
        with open(path("prometheus.log"), "wb") as log:
            self.process = subprocess.Popen(
                [program("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb",
                 "--web.listen-address=127.0.0.1:%d" % self.port], cwd=tmp, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def ask(self, what, **parameters):
        """None: it is not there yet."""
        url = "http://127.0.0.1:%d/api/v1/%s?%s" % (self.port, what, urllib.parse.urlencode(parameters))
        try:
            with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return None
            raise AssertionError("%s: %s" % (parameters, error.read().decode()))
        except OSError:
            need(self.process.poll() is None, "Prometheus ended: %s" % open(path("prometheus.log")).read()[-1000:])
            return None

    def value(self, query):
        """Of a query with one result; None without one."""
        data = self.ask("query", query=query)
        return float(data["result"][0]["value"][1]) if data and data["result"] else None

    def end(self):
        self.process.terminate()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def dashboard_queries():
    with open(DASHBOARD) as file:
        dashboard = json.load(file)
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    for name, value in VARIABLES.items():
        queries = [query.replace(name, value) for query in queries]
    need(len(queries) > 10 and not any("$" in query for query in queries), "queries: %s" % queries)
    return queries + [variable["definition"] for variable in dashboard["templating"]["list"] if "definition" in variable]


def known_names(gate):
    """All names that samples can have, also of families that have none now."""
    families = json.loads(gate.tlsgate("stats", "--json").stdout)["metrics"]
    return {family["name"] + suffix for family in families
            for suffix in (("_bucket", "_sum", "_count") if family["type"] == "histogram" else ("",))}


@test
def promtool_finds_no_fault_with_the_metrics():
    with Backend().echo() as backend, Exporter(backend.address) as gate:
        wait_until(gate.answers, "it answers")
        with gate.connect() as connection:
            echo(connection)
        with gate.scrape(None) as answer:
            ran = promtool("check", "metrics", input=answer.read().decode())
        need(not ran.stdout and not ran.stderr, "says %s" % ran)


@test
def alerts_fire_when_they_should():
    shutil.copy(RULES, path("prometheus-rules.yml"))
    shutil.copy(os.path.join(TOP, "selftests/prometheus/rules-test.yml"), path("rules-test.yml"))
    with open(RULES) as rules:
        count = len(re.findall("alert: ", rules.read()))
    need("%d rules found" % count in promtool("check", "rules", "prometheus-rules.yml").stdout, "all rules are checked")
    promtool("test", "rules", "rules-test.yml")
    with open(path("rules-test.yml")) as tests, open(RULES) as rules:
        tested = tests.read()
        for alert in re.findall("alert: (.*)", rules.read()):
            need(len(re.findall("alertname: %s$" % alert, tested, re.M)) >= 1, "%s is not tested" % alert)


@test
def prometheus_scrapes_the_daemon():
    with Backend().echo() as backend, Exporter(backend.address) as gate, Prometheus(gate) as prometheus:
        for _ in range(3):
            with gate.connect() as connection:
                echo(connection)
        wait_until(lambda: prometheus.value("sum(tlsgated_handshakes_total)") == 3, "it has the numbers")
        need(prometheus.value("up") == 1 and prometheus.value("count(ALERTS)") is None, "no alert")
        data = prometheus.ask("metadata")
        need(data["tlsgated_handshakes"][0]["type"] == "counter" and data["tlsgated_handshake_seconds"][0]["type"] == "histogram",
             "it took OpenMetrics: %s" % data)
        names = known_names(gate)
        for query in dashboard_queries():
            used = set(NAME.findall(query))
            need(used and used <= names, "the dashboard asks for %s: %s" % (used - names, query))
        queries = [query for query in dashboard_queries() if not query.startswith("label_values")]
        wait_until(lambda: sum(bool(prometheus.ask("query", query=query)["result"]) for query in queries) > 10,
                   "results of the dashboard's queries")
        with open(RULES) as rules:
            used = set(NAME.findall(rules.read()))
        need(used <= names, "the alerts ask for %s" % (used - names))
        prometheus.end()        # the daemon does not mind
        outcome(gate.tlsgate("reload"), 0)
        with gate.connect() as connection:
            echo(connection)
        need(gate.answers() and "metrics" not in log_text(), "says " + log_text())
