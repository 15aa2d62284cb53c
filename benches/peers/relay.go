// A TLS terminator as Go's standard library gives it: crypto/tls in, io.Copy, plain TCP out.
//
//	relay LISTEN TO CERT KEY
package main

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"os"
)

func main() {
	cert, err := tls.LoadX509KeyPair(os.Args[3], os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	listener, err := tls.Listen("tcp", os.Args[1], &tls.Config{
		Certificates:                []tls.Certificate{cert},
		MinVersion:                  tls.VersionTLS13,
		CurvePreferences:            []tls.CurveID{tls.X25519},
		DynamicRecordSizingDisabled: true, // full records from the start
	})
	if err != nil {
		log.Fatal(err)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go relay(client.(*tls.Conn), os.Args[2])
	}
}

func relay(client *tls.Conn, to string) {
	defer client.Close()
	if client.Handshake() != nil {
		return
	}
	backend, err := net.Dial("tcp", to)
	if err != nil {
		log.Print(err)
		return
	}
	defer backend.Close()
	go func() {
		io.Copy(backend, client)
		backend.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(client, backend)
}
