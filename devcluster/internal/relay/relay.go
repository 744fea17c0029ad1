// Package relay passes bytes between connections.
package relay

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

const dialTimeout = 5 * time.Second

// Dial connects to a TCP address of this machine.
func Dial(ctx context.Context, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	return conn, nil
}

// Join passes on what either connection says until one of them ends, and closes both. What was already read from a is
// in buffered.
func Join(a net.Conn, buffered io.Reader, b net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(b, buffered) // an error ends the connection like an end does
		_ = b.Close()
		_ = a.Close()
	}()
	_, _ = io.Copy(a, b)
	_ = b.Close()
	_ = a.Close()
	<-done
}

// Forward accepts connections at one address and joins each with a new one to the other, until ctx ends.
func Forward(ctx context.Context, from, to string) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", from)
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go func() {
				target, err := Dial(ctx, to)
				if err != nil {
					_ = client.Close()
					return
				}
				Join(client, client, target)
			}()
		}
	}()
	return nil
}
