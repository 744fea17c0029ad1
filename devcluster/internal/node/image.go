package node

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
)

func ctrArgs(args ...string) []string {
	return append([]string{"--address", socket, "--namespace", "k8s.io"}, args...)
}

// LoadImage imports the images of an OCI or Docker archive into the node whose Init has this process id.
func LoadImage(ctx context.Context, pid int, archive io.Reader, out io.Writer) error {
	args := append([]string{"--target", strconv.Itoa(pid), "--mount", "--", "ctr"}, ctrArgs("images", "import", "-")...)
	cmd := exec.CommandContext(ctx, "nsenter", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = archive, out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("import image: %w", err)
	}
	return nil
}

// WriteImage writes a Docker archive with one image of this name that consists of one static program.
func WriteImage(path, name, program string) error {
	binary, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	layer, err := archive(entry{"program", binary, 0o755})
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Entrypoint": []string{"/program"}, "User": "65535:65535"},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer)}},
	})
	if err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	configName := digest(config) + ".json"
	manifest, err := json.Marshal([]map[string]any{
		{"Config": configName, "RepoTags": []string{name}, "Layers": []string{"layer.tar"}},
	})
	if err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	image, err := archive(entry{configName, config, 0o644}, entry{"layer.tar", layer, 0o644}, entry{"manifest.json", manifest, 0o644})
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, image, 0o644); err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	return nil
}

type entry struct {
	name    string
	content []byte
	mode    int64
}

func archive(entries ...entry) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.content)), Format: tar.FormatPAX}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("write archive: %w", err)
		}
		if _, err := w.Write(e.content); err != nil {
			return nil, fmt.Errorf("write archive: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write archive: %w", err)
	}
	return out.Bytes(), nil
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
