// SPDX-License-Identifier: MIT

import java.io.*;
import java.net.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.*;
import java.security.cert.*;
import java.util.*;
import javax.net.ssl.*;

/**
 * An HTTPS client and server on Java's JSSE, for interop.sh.
 *
 * usage: Peer get|put|resume PORT NAME CA VERSION SUITE GROUPS FILE [PKCS12]
 *        Peer serve BLOB PORT PKCS12 [CLIENT-CA]
 *
 * As peer.go says; GROUPS are JSSE's names (x25519, secp256r1...), joined by
 * ",".  The password of every PKCS12 file is "changeit".  JSSE does not tell
 * whether a session was resumed, but a resumed one keeps its creation time.
 */
class Peer {
	static final char[] PASSWORD = "changeit".toCharArray();

	static TrustManager[] trust(String file) throws Exception {
		KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
		store.load(null, null);
		try (InputStream in = new FileInputStream(file)) {
			store.setCertificateEntry("ca",
				CertificateFactory.getInstance("X.509").generateCertificate(in));
		}
		TrustManagerFactory factory =
			TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
		factory.init(store);
		return factory.getTrustManagers();
	}

	static KeyManager[] identity(String file) throws Exception {
		KeyStore store = KeyStore.getInstance("PKCS12");
		try (InputStream in = new FileInputStream(file)) {
			store.load(in, PASSWORD);
		}
		KeyManagerFactory factory =
			KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
		factory.init(store, PASSWORD);
		return factory.getKeyManagers();
	}

	static SSLContext context(String pkcs12, String ca) throws Exception {
		SSLContext context = SSLContext.getInstance("TLS");
		context.init(pkcs12 == null ? null : identity(pkcs12), ca == null ? null : trust(ca),
			null);
		return context;
	}

	static String line(InputStream in) throws IOException {
		StringBuilder line = new StringBuilder();
		int c;
		while ((c = in.read()) != '\n') {
			if (c < 0)
				throw new EOFException("end of file within the headers");
			line.append((char) c);
		}
		return line.toString().trim();
	}

	/** Reads headers to the empty line; the value of Content-Length, or -1. */
	static long contentLength(InputStream in) throws IOException {
		long length = -1;
		String header;
		while (!(header = line(in)).isEmpty())
			if (header.toLowerCase().startsWith("content-length:"))
				length = Long.parseLong(header.substring(15).trim());
		return length;
	}

	static class Client {
		final SSLContext context;
		final int port;
		final String name;
		final SSLParameters parameters;

		Client(String[] args) throws Exception {
			port = Integer.parseInt(args[1]);
			name = args[2];
			context = context(args.length > 8 ? args[8] : null, args[3]);
			parameters = context.getDefaultSSLParameters();
			parameters.setProtocols(new String[] { "TLSv" + args[4] });
			if (!args[5].equals("-"))
				parameters.setCipherSuites(new String[] { args[5] });
			parameters.setServerNames(List.of(new SNIHostName(name)));
			parameters.setEndpointIdentificationAlgorithm("HTTPS");
			parameters.setApplicationProtocols(new String[] { "http/1.1" });
		}

		/** One request on a connection of its own; when its session was made. */
		long request(String head, InputStream body, OutputStream out) throws Exception {
			// Connected by hand: the session cache goes by the name and port given here.
			Socket tcp = new Socket("127.0.0.1", port);
			try (SSLSocket tls = (SSLSocket)
					context.getSocketFactory().createSocket(tcp, name, port, true)) {
				tls.setSSLParameters(parameters);
				tls.startHandshake();
				SSLSession session = tls.getSession();
				System.err.println("negotiated " + session.getProtocol() + " " +
					session.getCipherSuite() + " alpn=" + tls.getApplicationProtocol());
				OutputStream to = tls.getOutputStream();
				to.write((head + " HTTP/1.1\r\nHost: t\r\nConnection: close\r\n")
					.getBytes(StandardCharsets.US_ASCII));
				if (body != null)
					to.write(("Content-Length: " + body.available() + "\r\n").getBytes());
				to.write("\r\n".getBytes());
				if (body != null)
					body.transferTo(to);
				InputStream from = new BufferedInputStream(tls.getInputStream());
				String status = line(from);
				if (!status.contains(" 200 "))
					throw new IOException("answer: " + status);
				contentLength(from);
				from.transferTo(out);
				return session.getCreationTime();
			}
		}

		long fetch(String path, String file) throws Exception {
			try (OutputStream out = new FileOutputStream(file)) {
				return request("GET " + path, null, out);
			}
		}

		void run(String operation, String file) throws Exception {
			if (operation.equals("get")) {
				fetch("/blob", file);
			} else if (operation.equals("put")) {
				request("PUT /up", new ByteArrayInputStream(Files.readAllBytes(Path.of(file))),
					System.out);
			} else {
				long first = fetch("/part", file);
				Thread.sleep(2);	// the clock that getCreationTime() shows has to move on
				System.out.println(fetch("/part", file) == first ? "resumed" : "new");
			}
			System.out.flush();
		}
	}

	static class Server {
		final byte[] blob;
		final SSLServerSocket listener;

		Server(String[] args) throws Exception {
			blob = Files.readAllBytes(Path.of(args[1]));
			SSLContext context = context(args[3], args.length > 4 ? args[4] : null);
			listener = (SSLServerSocket) context.getServerSocketFactory().createServerSocket(
				Integer.parseInt(args[2]), 64, InetAddress.getByName("127.0.0.1"));
			listener.setNeedClientAuth(args.length > 4);
		}

		void answer(SSLSocket tls) throws Exception {
			long before = System.currentTimeMillis();
			InputStream in = new BufferedInputStream(tls.getInputStream());
			String request = line(in);
			System.out.println(tls.getSession().getCreationTime() < before ? "resumed" : "new");
			long length = contentLength(in);
			byte[] body = blob;
			if (request.startsWith("PUT ")) {
				byte[] sent = in.readNBytes((int) length);
				byte[] sum = MessageDigest.getInstance("SHA-256").digest(sent);
				body = (HexFormat.of().formatHex(sum) + " " + sent.length + "\n").getBytes();
			} else if (request.startsWith("GET /part ")) {
				body = Arrays.copyOf(blob, blob.length / 8);
			}
			OutputStream out = tls.getOutputStream();
			out.write(("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + body.length +
				"\r\n\r\n").getBytes());
			out.write(body);
			out.flush();
		}

		void run() throws Exception {
			while (true) {
				SSLSocket tls = (SSLSocket) listener.accept();
				new Thread(() -> {
					try (tls) {
						answer(tls);
					} catch (Exception e) {
						System.out.println(e);
					}
				}).start();
			}
		}
	}

	public static void main(String[] args) throws Exception {
		if (args.length > 3 && args[0].equals("serve")) {
			new Server(args).run();
		} else if (args.length > 7) {
			if (!args[6].equals("-"))
				System.setProperty("jdk.tls.namedGroups", args[6]);
			new Client(args).run(args[0], args[7]);
		} else {
			System.err.println("usage: see the head of Peer.java");
			System.exit(2);
		}
	}
}
