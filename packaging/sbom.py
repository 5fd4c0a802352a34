#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""sbom.py VERSION EPOCH FILE...: the bill of materials of what was built, as SPDX 2.3 JSON on standard output.

FILE are the programs and libraries of the build. Their sources are the files that git tracks, or, in an unpacked tarball,
all of them; each has its own licence line. The libraries are those that FILE name, with the version of
the Debian package that has them here, where there is one."""
import datetime
import hashlib
import json
import os
import re
import subprocess
import sys

LICENCE = re.compile(r"SPDX-License-Identifier: (.+?)\s*(?:\*/|-->)?$", re.M)


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def sources():
    if os.path.exists(".git"):
        return sorted(output("git", "ls-files").splitlines())
    found = (os.path.join(folder, name)[2:] for folder, _, names in os.walk(".") for name in names)
    return sorted(name for name in found if not name.startswith("build/"))


def digests(path):
    with open(path, "rb") as file:
        data = file.read()
    return [{"algorithm": name, "checksumValue": hashlib.new(name.lower(), data).hexdigest()}
            for name in ("SHA1", "SHA256")]


# What has no line of its own is under the licence of everything else (COPYING).
def licence(path):
    with open(path, "rb") as file:
        found = LICENCE.search(file.read(2000).decode("latin-1"))
    return found.group(1) if found else "MIT"


def file_entry(path, kind, of):
    return {"SPDXID": "SPDXRef-File-" + re.sub(r"[^A-Za-z0-9.-]", lambda c: "-%02x" % ord(c.group()), path),
            "fileName": "./" + path, "fileTypes": [kind], "checksums": digests(path),
            "licenseConcluded": "NOASSERTION", "licenseInfoInFiles": [of], "copyrightText": "NOASSERTION"}


def needed(path):
    return re.findall(r"\(NEEDED\).*\[(.+)\]", output("readelf", "-d", path))


def owner(library):
    """The Debian package of a library, and its version. dpkg knows some by their place before /usr was merged."""
    where = re.search(r"%s .*=> (\S+)" % re.escape(library), output("ldconfig", "-p"))
    real = os.path.realpath(where.group(1)) if where else ""
    package = (output("dpkg", "-S", real) or output("dpkg", "-S", real[len("/usr"):])).split(":")[0]
    return package, output("dpkg-query", "-W", "-f=${Version}", package) if package else ""


def library_entry(library):
    package, version = owner(library)
    entry = {"SPDXID": "SPDXRef-Library-" + re.sub(r"[^A-Za-z0-9.-]", "-", library), "name": library,
             "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "copyrightText": "NOASSERTION",
             "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION"}
    if version:
        entry["versionInfo"] = version
        entry["externalRefs"] = [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                                  "referenceLocator": "pkg:deb/debian/%s@%s" % (package, version)}]
    return entry


def verification_code(files):
    sums = sorted(entry["checksums"][0]["checksumValue"] for entry in files)
    return hashlib.sha1("".join(sums).encode()).hexdigest()


def main():
    version, epoch, built = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    files = [file_entry(path, "SOURCE", licence(path)) for path in sources()]
    binaries = [file_entry(path, "BINARY", "MIT") for path in built]
    links = sorted({(path, library) for path in built for library in needed(path)})
    libraries = [library_entry(library) for library in sorted({library for _, library in links})]
    of = {entry["fileName"][2:]: entry["SPDXID"] for entry in binaries}
    id_of = {entry["name"]: entry["SPDXID"] for entry in libraries}
    package = {"SPDXID": "SPDXRef-Package-tlsgate", "name": "tlsgate", "versionInfo": version,
               "downloadLocation": "NOASSERTION", "filesAnalyzed": True,
               "packageVerificationCode": {"packageVerificationCodeValue": verification_code(files + binaries)},
               "licenseConcluded": "MIT AND GPL-2.0-only", "licenseDeclared": "MIT AND GPL-2.0-only",
               "licenseInfoFromFiles": sorted({f for e in files + binaries for f in e["licenseInfoInFiles"]}),
               "copyrightText": "Copyright (c) 2026 the tlsgate authors",
               "hasFiles": [entry["SPDXID"] for entry in files + binaries]}
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", package["SPDXID"])]
    relations += [(of[path], "DYNAMIC_LINK", id_of[library]) for path, library in links]
    unique = verification_code(files + binaries)
    json.dump({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": "tlsgate-" + version, "documentNamespace": "https://spdx.org/spdxdocs/tlsgate-%s-%s" % (version, unique),
        "creationInfo": {
            "created": datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Tool: packaging/sbom.py"]},
        "packages": [package] + libraries, "files": files + binaries,
        "relationships": [{"spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b}
                          for a, kind, b in relations]}, sys.stdout, indent=1)
    print()


main()
