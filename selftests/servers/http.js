// SPDX-License-Identifier: MIT
//
// http.js serve ADDRESS:PORT FILE: answers GET with the file, PUT with the SHA-256 of what was sent.
// http.js get URL CA: a client; what it got goes to standard output.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const https = require('https');
const { pipeline } = require('stream');

function serve(address, file) {
	const at = address.lastIndexOf(':');

	http.createServer((request, answer) => {
		console.log(`${request.method} from ${request.socket.remoteAddress}`);
		if (request.method === 'GET')
			pipeline(fs.createReadStream(file), answer, () => {});
		else
			pipeline(request, crypto.createHash('sha256').setEncoding('hex'), answer, () => {});
	}).listen(Number(address.slice(at + 1)), address.slice(0, at));
}

function get(url, ca) {
	https.get(url, { ca: fs.readFileSync(ca), agent: false }, (answer) => {
		if (answer.statusCode !== 200)
			throw new Error(`status ${answer.statusCode}`);
		answer.pipe(process.stdout);
	});
}

const [what, ...rest] = process.argv.slice(2);

({ serve, get })[what](...rest);
