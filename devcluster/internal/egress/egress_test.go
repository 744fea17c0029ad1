package egress_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"chandler.dev/olm/devcluster/internal/egress"
)

func TestEveryAddressIsTheLoopback(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "a pod")
	}))
	defer target.Close()
	p, err := egress.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	socket := regexp.MustCompile(`udsName: "(.*)"`).FindSubmatch(p.Configuration())
	if socket == nil {
		t.Fatalf("Configuration() = %s", p.Configuration())
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "unix", string(socket[1]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	port := target.URL[strings.LastIndex(target.URL, ":")+1:]
	_, _ = fmt.Fprintf(conn, "CONNECT 10.244.0.7:%s HTTP/1.1\r\nHost: 10.244.0.7:%s\r\n\r\n", port, port)
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect})
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("CONNECT: %v %v", response, err)
	}
	_, _ = io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
	response, err = http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "a pod" {
		t.Errorf("GET = %q, %v", body, err)
	}
}
