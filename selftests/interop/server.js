#!/usr/bin/env node
// SPDX-License-Identifier: MIT
//
// An HTTPS server on Node's tls module, for interop.sh.
//
// usage: server.js BLOB PORT CERT KEY
//
// GET /blob gives BLOB; PUT anything answers with SHA-256 and length of the body.
"use strict";
const crypto = require("crypto");
const fs = require("fs");
const https = require("https");

const [blobFile, port, cert, key] = process.argv.slice(2);
const blob = fs.readFileSync(blobFile);
const options = { cert: fs.readFileSync(cert), key: fs.readFileSync(key) };

https.createServer(options, (request, response) => {
	if (request.method === "GET") {
		response.setHeader("Content-Length", blob.length);
		response.end(blob);
		return;
	}
	const digest = crypto.createHash("sha256");
	let total = 0;
	request.on("data", (data) => {
		digest.update(data);
		total += data.length;
	});
	request.on("end", () => response.end(`${digest.digest("hex")} ${total}\n`));
}).listen(Number(port), "127.0.0.1");
