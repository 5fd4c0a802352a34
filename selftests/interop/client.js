#!/usr/bin/env node
// SPDX-License-Identifier: MIT
//
// A TLS client on Node's tls module, for interop.sh.
//
// usage: client.js OPERATION PORT NAME CA VERSION SUITE GROUP FILE
//
// OPERATION: get (GET /blob into FILE), put (PUT FILE, the answer on standard
// output), resume (GET /part into FILE, and again with the session; says whether it was
// resumed on standard output), half (send FILE raw, end the sending side, the answer to standard output).
// What was negotiated goes to standard error.
"use strict";
const fs = require("fs");
const tls = require("tls");

const [operation, port, name, ca, version, suite, group, file] = process.argv.slice(2);
const options = {
	host: "127.0.0.1",
	port: Number(port),
	servername: name,
	ca: fs.readFileSync(ca),
	minVersion: "TLSv" + version,
	maxVersion: "TLSv" + version,
	ALPNProtocols: ["http/1.1"],
	allowHalfOpen: true,
};
if (suite !== "-")
	options.ciphers = suite;
if (group !== "-")
	options.ecdhCurve = group;

function fail(what)
{
	console.error(String(what));
	process.exit(1);
}

const requests = {
	get: "GET /blob HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
	resume: "GET /part HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
};

function begin(socket)
{
	console.error("negotiated", socket.getProtocol(), socket.getCipher().standardName,
		      "alpn=" + socket.alpnProtocol);
	if (operation in requests) {
		socket.write(requests[operation]);
	} else if (operation === "put") {
		const body = fs.readFileSync(file);
		socket.write("PUT /up HTTP/1.1\r\nHost: t\r\nConnection: close\r\n" +
			     `Content-Length: ${body.length}\r\n\r\n`);
		socket.write(body);
	} else {
		socket.end(fs.readFileSync(file));
	}
}

function body_of(all)
{
	const split = all.indexOf("\r\n\r\n");

	if (split < 0 || !all.subarray(0, split).toString().startsWith("HTTP/1.1 200 "))
		fail("answer: " + all.subarray(0, 80));
	return all.subarray(split + 4);
}

function run(session, done)
{
	const received = [];
	const socket = tls.connect({ ...options, session }, () => begin(socket));
	let ticket;

	socket.setTimeout(120000, () => fail("no byte for 120 s"));
	socket.on("error", (e) => fail(e.message));
	socket.on("session", (s) => { ticket = s; });
	socket.on("data", (data) => received.push(data));
	socket.on("end", () => {
		const reused = socket.isSessionReused();
		socket.end();
		done(Buffer.concat(received), ticket, reused);
	});
}

run(undefined, (all, ticket) => {
	if (operation === "half") {
		process.stdout.write(all);
	} else if (operation === "put") {
		process.stdout.write(body_of(all));
	} else if (operation === "get") {
		fs.writeFileSync(file, body_of(all));
	} else {
		run(ticket, (again, _, reused) => {
			fs.writeFileSync(file, body_of(again));
			console.log(reused ? "resumed" : "new");
		});
	}
});
