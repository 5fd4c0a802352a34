// SPDX-License-Identifier: MIT

// go-http serve ADDRESS FILE: answers GET with the file, PUT with the SHA-256 of what was sent, and
// writes a line with each client's address.
// go-http get URL CA, go-http put URL CA FILE: a client; writes what it got to standard output.
package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

func serve(address, file string) error {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		log.Printf("%s from %s at %s", r.Method, r.RemoteAddr, r.Context().Value(http.LocalAddrContextKey))
		if r.Method == http.MethodGet {
			http.ServeFile(w, r, file)
			return
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, r.Body); err != nil {
			log.Print(err)
			return
		}
		fmt.Fprintf(w, "%x", sum.Sum(nil))
	})
	return http.ListenAndServe(address, nil)
}

func send(method, url, ca string, body io.Reader) error {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	http.DefaultTransport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", answer.Status)
	}
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}

func put(url, ca, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	return send(http.MethodPut, url, ca, file)
}

func main() {
	err := fmt.Errorf("usage: go-http serve ADDRESS FILE | get URL CA | put URL CA FILE")
	switch args := os.Args[1:]; {
	case len(args) == 3 && args[0] == "serve":
		err = serve(args[1], args[2])
	case len(args) == 3 && args[0] == "get":
		err = send(http.MethodGet, args[1], args[2], nil)
	case len(args) == 4 && args[0] == "put":
		err = put(args[1], args[2], args[3])
	}
	if err != nil {
		log.Fatal(err)
	}
}
