// A SignalR hub made with a server that nobody here wrote.
//
// Prints "listening on PORT". Hub methods: Echo, Bytes, Count (a stream), Say (to all), Leave (the
// server closes the connection).
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/philippseith/signalr"
)

type hub struct {
	signalr.Hub
}

func (h *hub) Echo(text string) string { return text }

func (h *hub) Bytes(data []byte) []byte { return data }

func (h *hub) Count(to int) <-chan int {
	numbers := make(chan int)
	go func() {
		defer close(numbers)
		for number := range to {
			numbers <- number
		}
	}()
	return numbers
}

func (h *hub) Say(text string) { h.Clients().All().Send("said", text) }

func (h *hub) Leave() { h.Hub.Abort() }

func main() {
	server, err := signalr.NewServer(context.Background(),
		signalr.SimpleHubFactory(&hub{}),
		signalr.HTTPTransports(signalr.TransportWebSockets),
		signalr.KeepAliveInterval(2*time.Second),
		signalr.MaximumReceiveMessageSize(4<<20),
		signalr.InsecureSkipVerify(true))
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	server.MapHTTP(signalr.WithHTTPServeMux(mux), "/chat")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %d\n", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, mux))
}
