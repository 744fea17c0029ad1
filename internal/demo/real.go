package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
)

// releases are what the demo publishes, in order.
var releases = []string{"1.0.0", "1.1.0", "2.0.0"}

// loadImages builds the image of the operator from the tree, one for each
// release, and gives them to the nodes.
func (d *demo) loadImages(ctx context.Context) error {
	d.line.say("building the image of the operator from the tree (a few minutes the first time)")
	if _, err := output(ctx, "go", "-C", filepath.Join("examples", "database"), "run", "./image", "-version", strings.Join(releases, ","), "-o", d.dir); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(d.dir, "*.tar"))
	if err != nil || len(files) != len(releases) {
		return fmt.Errorf("found %d images, want %d: %w", len(files), len(releases), err)
	}
	if _, err := output(ctx, bin("devcluster"), append([]string{"load-image", "--name", "demo", "--dir", d.dir}, files...)...); err != nil {
		return err
	}
	d.line.say("the images of releases %s are on the node", strings.Join(releases, ", "))
	return nil
}

const (
	key   = "order-1"
	value = "one anchor, forty fathoms of chain"
)

// membersAnswer asks every etcd member for its version, through the API server.
func (d *demo) membersAnswer(ctx context.Context) error {
	if d.nodes != "real" {
		return nil
	}
	for i := range 3 {
		pod := fmt.Sprintf("%s-%d", database, i)
		answer, err := d.pods.CoreV1().Pods(namespace).ProxyGet("http", pod, "2379", "/version", nil).DoRaw(ctx)
		if err != nil {
			return fmt.Errorf("ask %s for its version: %w", pod, err)
		}
		d.line.say("%s answers: %s", pod, answer)
	}
	return nil
}

// writeKey stores something in the database that must outlive upgrades.
func (d *demo) writeKey(ctx context.Context) error {
	if d.nodes != "real" {
		return nil
	}
	_, err := d.etcd(ctx, "/v3/kv/put", map[string]string{"key": encode(key), "value": encode(value)})
	if err == nil {
		d.line.say("wrote %s = %q", key, value)
	}
	return err
}

// readKey looks whether it is still there.
func (d *demo) readKey(ctx context.Context) error {
	if d.nodes != "real" {
		return nil
	}
	answer, err := d.etcd(ctx, "/v3/kv/range", map[string]string{"key": encode(key)})
	if err != nil {
		return err
	}
	var found struct{ Kvs []struct{ Value []byte } }
	if err := json.Unmarshal(answer, &found); err != nil {
		return err
	}
	if len(found.Kvs) != 1 || string(found.Kvs[0].Value) != value {
		return fmt.Errorf("the database lost its content: %s", answer)
	}
	d.line.say("%s is still %q", key, found.Kvs[0].Value)
	return nil
}

// etcd calls the JSON gateway of the first member, through the API server.
func (d *demo) etcd(ctx context.Context, path string, request any) ([]byte, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	return d.pods.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").SubResource("proxy").
		Name(database + "-0:2379").Suffix(path).Body(body).DoRaw(ctx)
}

func encode(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
