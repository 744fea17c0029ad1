// Probe is a pod that answers what it can see of its cluster.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

func main() {
	http.HandleFunc("/name", func(w http.ResponseWriter, _ *http.Request) {
		name, _ := os.Hostname()
		_, _ = io.WriteString(w, name)
	})
	http.HandleFunc("/server", func(w http.ResponseWriter, r *http.Request) { answer(w)(version(r)) })
	http.HandleFunc("/get", func(w http.ResponseWriter, r *http.Request) { answer(w)(get(r.FormValue("url"))) })
	fmt.Println("serving")
	if err := http.ListenAndServe(":8080", nil); err != nil { //nolint:gosec // a test
		fmt.Println(err)
		os.Exit(1)
	}
}

func answer(w http.ResponseWriter) func(string, error) {
	return func(text string, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, text)
	}
}

// version asks the API server as every operator does.
func version(r *http.Request) (string, error) {
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return "", err
	}
	roots.AppendCertsFromPEM(ca)
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return "", err
	}
	server := net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "https://"+server+"/version", nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}} //nolint:gosec // a test
	return read(client.Do(request))
}

func get(url string) (string, error) {
	return read(http.Get(url)) //nolint:gosec,noctx // a test
}

func read(response *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}
