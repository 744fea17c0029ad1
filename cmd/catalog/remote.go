package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"chandler.dev/olm/pkg/failure"
)

// remoteOptions are how servers are reached: in plain text, unless a file is
// given.
type remoteOptions struct {
	caFile, certFile, keyFile string
}

func addRemoteFlags(cmd *cobra.Command, o *remoteOptions) {
	f := cmd.Flags()
	f.StringVar(&o.caFile, "remote-ca", "", "reach servers by TLS; `file` of their authorities")
	f.StringVar(&o.certFile, "remote-cert", "", "certificate `file` to show to servers")
	f.StringVar(&o.keyFile, "remote-key", "", "private key `file` of the certificate")
}

func (o remoteOptions) dial(address string) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if o != (remoteOptions{}) {
		config, err := o.tls()
		if err != nil {
			return nil, err
		}
		transport = credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(transport))
	if err != nil {
		return nil, failure.New(failure.Invalid, "%q is no address: %v", address, err)
	}
	return conn, nil
}

func (o remoteOptions) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.caFile != "" {
		text, err := os.ReadFile(o.caFile)
		if err != nil {
			return nil, failure.New(failure.Invalid, "cannot read the authorities of the server: %v", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, failure.New(failure.Invalid, "%q holds no certificate", o.caFile)
		}
	}
	if o.certFile == "" && o.keyFile == "" {
		return config, nil
	}
	cert, err := tls.LoadX509KeyPair(o.certFile, o.keyFile)
	if err != nil {
		return nil, failure.New(failure.Invalid, "cannot use the certificate: %v", err).WithHint("give both --remote-cert and --remote-key, in PEM")
	}
	config.Certificates = []tls.Certificate{cert}
	return config, nil
}
