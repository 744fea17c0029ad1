package catalogsource

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/connectivity"

	"chandler.dev/olm/pkg/controller/snapshot"
)

// ErrCannotWatch says that a server cannot tell when its content changes.
var ErrCannotWatch = errors.New("the catalog server does not announce changes")

// Server is one catalog server, whether it can be reached or not.
type Server struct {
	Conn Conn
	Live snapshot.Live // asks the server
	// Watch tells what is served now and again on every change, until the server
	// or ctx ends it. It returns an error that is ErrCannotWatch if the server has
	// no such call.
	Watch func(ctx context.Context, changed func(News)) error
	// Save writes everything that the server offers into a catalog file.
	Save func(ctx context.Context, path string) error
}

// News is what a server says about a catalog.
type News struct {
	Digest  string // of the content; empty while nothing is served
	Problem string // why nothing or nothing newer is served; empty if there is no reason
}

// Conn is the connection to a server; *grpc.ClientConn is one.
type Conn interface {
	Connect()
	GetState() connectivity.State
	WaitForStateChange(ctx context.Context, from connectivity.State) bool
	Close() error
}

// Times of reading.
const (
	readBackoff    = time.Second // after a failed read, doubling
	maxReadBackoff = time.Minute
)
