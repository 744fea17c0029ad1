package main

import (
	"context"
	"path/filepath"
)

// releases are what the demo publishes, in order.
var releases = []string{"1.0.0", "1.1.0", "2.0.0"}

// loadImages builds the image of the operator from the tree, once for each
// release, and gives it to the nodes.
func (d *demo) loadImages(ctx context.Context) error {
	for _, version := range releases {
		file := filepath.Join(d.dir, "database-"+version+".tar")
		if _, err := output(ctx, "go", "-C", filepath.Join("examples", "database"), "run", "./image", "-version", version, "-o", file); err != nil {
			return err
		}
		if _, err := output(ctx, bin("devcluster"), "load-image", "--name", "demo", "--dir", d.dir, file); err != nil {
			return err
		}
		d.line.say("image of release %s: built from the tree and loaded", version)
	}
	return nil
}
