// SPDX-License-Identifier: MIT

// An HTTPS client and server on Go's crypto/tls, for interop.sh.
//
// usage: peer get|put|resume PORT NAME CA VERSION SUITE GROUPS FILE [CERT KEY]
//
//	peer serve BLOB PORT CERT KEY [CLIENT-CA]
//
// get fetches /blob into FILE, put sends FILE and prints the answer, resume
// fetches /part into FILE twice over two connections and prints "resumed" or
// "new".  SUITE is an IANA name and counts for TLS 1.2 only (Go has no choice
// for 1.3), GROUPS is joined by ":"; "-" leaves either to Go.  What was
// negotiated goes to standard error.
//
// The server answers GET /blob with BLOB, /part with its first eighth, PUT with
// SHA-256 and length of the body, and prints "resumed" or "new" for each
// connection.
package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
)

var versions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

var names = map[uint16]string{tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3"}

var groups = map[string]tls.CurveID{
	"X25519": tls.X25519, "P-256": tls.CurveP256, "P-384": tls.CurveP384,
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func suiteNumber(name string) uint16 {
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if suite.Name == name {
			return suite.ID
		}
	}
	log.Fatalf("Go has no suite %s", name)
	return 0
}

func pool(file string) *x509.CertPool {
	pem, err := os.ReadFile(file)
	check(err)
	result := x509.NewCertPool()
	if !result.AppendCertsFromPEM(pem) {
		log.Fatalf("%s: no certificate", file)
	}
	return result
}

func pair(cert, key string) []tls.Certificate {
	result, err := tls.LoadX509KeyPair(cert, key)
	check(err)
	return []tls.Certificate{result}
}

func clientConfig(name, ca, version, suite, list string) *tls.Config {
	config := &tls.Config{
		ServerName:         name,
		RootCAs:            pool(ca),
		MinVersion:         versions[version],
		MaxVersion:         versions[version],
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(4),
	}
	if suite != "-" && version == "1.2" {
		config.CipherSuites = []uint16{suiteNumber(suite)}
	}
	if list != "-" {
		for _, group := range strings.Split(list, ":") {
			config.CurvePreferences = append(config.CurvePreferences, groups[group])
		}
	}
	return config
}

// One request on a connection of its own; true: the session was resumed.
func request(config *tls.Config, port string, req *http.Request, out io.Writer) bool {
	var resumed bool
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialTLS: func(network, address string) (net.Conn, error) {
			conn, err := tls.Dial("tcp", "127.0.0.1:"+port, config)
			if err != nil {
				return nil, err
			}
			state := conn.ConnectionState()
			resumed = state.DidResume
			log.Printf("negotiated %s %s alpn=%s", names[state.Version],
				tls.CipherSuiteName(state.CipherSuite), state.NegotiatedProtocol)
			return conn, nil
		},
	}
	answer, err := transport.RoundTrip(req)
	check(err)
	defer answer.Body.Close()
	if answer.StatusCode != 200 {
		log.Fatalf("answer: %s", answer.Status)
	}
	_, err = io.Copy(out, answer.Body)
	check(err)
	return resumed
}

func fetch(config *tls.Config, port, path, file string) bool {
	out, err := os.Create(file)
	check(err)
	req, err := http.NewRequest("GET", "https://"+config.ServerName+path, nil)
	check(err)
	resumed := request(config, port, req, out)
	check(out.Close())
	return resumed
}

func put(config *tls.Config, port, file string) {
	in, err := os.Open(file)
	check(err)
	info, err := in.Stat()
	check(err)
	req, err := http.NewRequest("PUT", "https://"+config.ServerName+"/up", in)
	check(err)
	req.ContentLength = info.Size()
	request(config, port, req, os.Stdout)
}

func client(operation string, args []string) {
	port, file := args[0], args[6]
	config := clientConfig(args[1], args[2], args[3], args[4], args[5])
	if len(args) > 8 {
		config.Certificates = pair(args[7], args[8])
	}
	switch operation {
	case "get":
		fetch(config, port, "/blob", file)
	case "put":
		put(config, port, file)
	case "resume":
		fetch(config, port, "/part", file)
		if fetch(config, port, "/part", file) {
			fmt.Println("resumed")
		} else {
			fmt.Println("new")
		}
	}
}

func serve(args []string) {
	blob, err := os.ReadFile(args[0])
	check(err)
	config := &tls.Config{Certificates: pair(args[2], args[3]), NextProtos: []string{"http/1.1"}}
	if len(args) > 4 {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, pool(args[4])
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.TLS.DidResume {
			fmt.Println("resumed")
		} else {
			fmt.Println("new")
		}
		if r.Method == "PUT" {
			digest := sha256.New()
			length, err := io.Copy(digest, r.Body)
			if err == nil {
				fmt.Fprintf(w, "%x %d\n", digest.Sum(nil), length)
			}
			return
		}
		body := blob
		if r.URL.Path == "/part" {
			body = blob[:len(blob)/8]
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.Write(body)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:"+args[1], config)
	check(err)
	check(http.Serve(listener, http.HandlerFunc(handler)))
}

func main() {
	if len(os.Args) > 5 && os.Args[1] == "serve" {
		serve(os.Args[2:])
	} else if len(os.Args) > 8 {
		client(os.Args[1], os.Args[2:])
	} else {
		log.Fatal("usage: see the head of peer.go")
	}
}
