package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry/rpc"
)

// transportOptions are how clients reach the server and what they may cost.
type transportOptions struct {
	certFile, keyFile, clientCAFile string
	maxStreams                      uint32
	maxCalls                        int
	deadline                        time.Duration
	logRequests                     bool
}

const (
	maxRequest  = 1 << 20  // bytes; requests hold names
	maxResponse = 64 << 20 // bytes; a bundle with all its manifests
)

func addTransportFlags(cmd *cobra.Command, o *transportOptions) {
	f := cmd.Flags()
	f.StringVar(&o.certFile, "tls-cert", "", "certificate `file`; serves TLS")
	f.StringVar(&o.keyFile, "tls-key", "", "private key `file` of the certificate")
	f.StringVar(&o.clientCAFile, "tls-client-ca", "", "`file` of authorities; clients must have a certificate of one of them")
	f.Uint32Var(&o.maxStreams, "max-streams", 256, "calls at a time of one connection")
	f.IntVar(&o.maxCalls, "max-calls", 4096, "calls at a time of all connections")
	f.DurationVar(&o.deadline, "deadline", 30*time.Second, "longest time of a call that is no stream")
	f.BoolVar(&o.logRequests, "log-requests", false, "log every call")
}

func (s *server) grpcOptions() ([]grpc.ServerOption, error) {
	o := s.options.transportOptions
	options := []grpc.ServerOption{
		rpc.Codec(),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxSendMsgSize(maxResponse),
		grpc.MaxConcurrentStreams(o.maxStreams),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(s.unary),
		grpc.ChainStreamInterceptor(s.stream),
	}
	if o.certFile == "" && o.keyFile == "" && o.clientCAFile == "" {
		return options, nil
	}
	config, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	return append(options, grpc.Creds(credentials.NewTLS(config))), nil
}

func tlsConfig(o transportOptions) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(o.certFile, o.keyFile)
	if err != nil {
		return nil, failure.New(failure.Invalid, "cannot use the TLS certificate: %v", err).WithHint("give both --tls-cert and --tls-key, in PEM")
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if o.clientCAFile == "" {
		return config, nil
	}
	text, err := os.ReadFile(o.clientCAFile)
	if err != nil {
		return nil, failure.New(failure.Invalid, "cannot read the client authorities: %v", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(text) {
		return nil, failure.New(failure.Invalid, "%q holds no certificate", o.clientCAFile)
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	return config, nil
}

// unary guards a call: it has a deadline, is counted, and cannot end the program.
func (s *server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	done, err := s.begin(info.FullMethod)
	if err != nil {
		return nil, err
	}
	defer func() { err = done(err, recover()) }()
	ctx, cancel := context.WithTimeout(ctx, s.options.deadline)
	defer cancel()
	return handler(ctx, req)
}

func (s *server) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	done, err := s.begin(info.FullMethod)
	if err != nil {
		return err
	}
	defer func() { err = done(err, recover()) }()
	return handler(srv, stream)
}

// begin counts a call in; what it returns counts the call out and returns the
// error that the client sees.
func (s *server) begin(method string) (done func(err error, panicked any) error, err error) {
	if s.metrics.running.Add(1) > int64(s.options.maxCalls) {
		s.metrics.running.Add(-1)
		return nil, status.Error(codes.ResourceExhausted, "the catalog answers too many calls")
	}
	start := s.clock.Now()
	return func(err error, panicked any) error {
		s.metrics.running.Add(-1)
		if panicked != nil {
			s.log.Error("a call failed", "method", method, "panic", panicked, "stack", string(debug.Stack()))
			err = status.Error(codes.Internal, "internal error, see the log of the catalog")
		}
		took := s.clock.Since(start)
		s.metrics.observe(method, status.Code(err), took)
		if s.options.logRequests {
			s.log.LogAttrs(context.Background(), slog.LevelInfo, "call",
				slog.String("method", method), slog.String("code", status.Code(err).String()), slog.Duration("took", took))
		}
		return err
	}, nil
}
