package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/hosting"
	"chandler.dev/olm/pkg/hosting/files"
	"chandler.dev/olm/pkg/hosting/kube"
	"chandler.dev/olm/pkg/hosting/serve"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/bundle"
	"chandler.dev/olm/pkg/registry/oci"
	"chandler.dev/olm/pkg/registry/sqlite"
)

// hostingOptions are those of serving the CatalogSources of a cluster.
type hostingOptions struct {
	kubernetes              bool
	kubeconfig, kubeContext string
	maxImage                int64 // megabytes
	limits                  hosting.Limits
}

func addHostingFlags(cmd *cobra.Command, o *hostingOptions) {
	f := cmd.Flags()
	f.BoolVar(&o.kubernetes, "kubernetes", false, "host the images and ConfigMaps of the CatalogSources of a cluster")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file` (default $KUBECONFIG, then ~/.kube/config, then the cluster that the program runs in)")
	f.StringVar(&o.kubeContext, "context", "", "`name` of the kubeconfig context")
	f.Int64Var(&o.maxImage, "max-image-size", 4096, "`megabytes` that an image may have unpacked")
	f.IntVar(&o.limits.Total, "max-catalogs", 1000, "`number` of catalogs that are hosted at most")
	f.IntVar(&o.limits.PerNamespace, "max-catalogs-per-namespace", 100, "`number` of catalogs of one namespace that are hosted at most")
}

func (o serveOptions) checkArgs(cmd *cobra.Command, args []string) error {
	if !o.kubernetes {
		return cobra.MinimumNArgs(1)(cmd, args)
	}
	if len(args) > 0 || o.watch || o.cache.only {
		return failure.New(failure.Invalid, "--kubernetes takes its catalogs from a cluster, without arguments, --watch and --cache-only").
			WithHint("serve files with another `catalog serve`, and name its address in spec.address of a CatalogSource")
	}
	return nil
}

// prepareHosting connects to the cluster and opens the cache.
func (s *server) prepareHosting() (stop func(), err error) {
	o := s.options.hostingOptions
	cluster, err := kube.Connect(o.kubeconfig, o.kubeContext, s.log)
	if err != nil {
		return nil, err
	}
	dir, remove := s.options.cache.dir, func() {}
	if dir == "" {
		temporary, err := newScratch()
		if err != nil {
			return nil, err
		}
		dir, remove = temporary.dir, temporary.remove
	}
	cache, err := files.Open(dir)
	if err != nil {
		return nil, err
	}
	s.hosting = serve.New(serve.Options{
		Cluster: cluster, Hosts: s.hosts, Files: cache, Limits: o.limits, Log: s.log, Clock: s.clock,
		Image: s.hostedImage, ConfigMap: s.hostedConfigMap, Open: openFile, After: s.hosted,
		Index: sqlite.Create,
	})
	return func() { _ = cache.Close(); remove() }, nil
}

// hosted counts what was read, and gives back the memory that this took.
func (s *server) hosted(err error) {
	if err != nil {
		s.metrics.reloads.WithLabelValues("failed").Inc()
	} else {
		s.metrics.reloads.WithLabelValues("done").Inc()
	}
	giveBack()
}

func openFile(ctx context.Context, path string) (store registry.Store, closeStore func(), err error) {
	opened, err := sqlite.Open(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	return opened, func() { _ = opened.Close() }, nil
}

// hostedImage looks at the image of a CatalogSource with the credentials in its
// secrets, and after them with those of this server.
func (s *server) hostedImage(ctx context.Context, r hosting.Request, secrets []hosting.Secret) (serve.Content, error) {
	if strings.HasPrefix(r.Image, oci.LayoutPrefix) || strings.Contains(r.Image, "://") {
		return serve.Content{}, failure.New(failure.Invalid, "spec.image %q names no image in a registry", r.Image).WithHint("write it as registry/repository:tag")
	}
	credentials := oci.Credentials{}
	for _, secret := range secrets {
		credentials.AddSecret(secret.Type, secret.Data)
	}
	options := s.options.images
	options.Keychain = authn.NewMultiKeychain(credentials, authn.DefaultKeychain)
	options.MaxBytes = s.options.maxImage << 20
	image, err := oci.Open(ctx, r.Image, options)
	if err != nil {
		return serve.Content{}, err
	}
	// Whoever may read this repository may have what was read from it before.
	pinned := repositoryOf(r.Image) + "@" + image.Digest
	return serve.Content{Key: keyOf(pinned, r.Directory), Source: func(ctx context.Context, dir string) (registry.Source, error) {
		options := options
		options.CacheDir = filepath.Join(dir, "layers")
		if err := os.Mkdir(options.CacheDir, 0o700); err != nil {
			return nil, err
		}
		image, err := oci.Open(ctx, pinned, options) // its layers are read as long as this context lasts
		if err != nil {
			return nil, err
		}
		image.Ref = r.Image
		content := filepath.Join(dir, "content")
		if err := os.Mkdir(content, 0o700); err != nil {
			return nil, err
		}
		src, err := catalogIn(ctx, image, content, r.Directory)
		if err != nil {
			return nil, err
		}
		return s.checked(src, r), nil
	}}, nil
}

// hostedConfigMap is the catalog in the data of a ConfigMap.
func (s *server) hostedConfigMap(r hosting.Request, data map[string]string) serve.Content {
	text, _ := json.Marshal(data) // sorted by key; cannot fail
	return serve.Content{Key: keyOf(r.Key(), r.ConfigMap, string(text)), Source: func(_ context.Context, dir string) (registry.Source, error) {
		src, err := bundle.ConfigMap(data, dir, bundle.Options{Report: s.report(r)})
		if err != nil {
			return nil, err
		}
		return s.checked(src, r), nil
	}}
}

func (s *server) checked(src registry.Source, r hosting.Request) registry.Source {
	return checked(src, s.options.sourceOptions, s.report(r))
}

func (s *server) report(r hosting.Request) func(registry.Problem) {
	return func(p registry.Problem) { s.log.Warn("left out", "catalog", r.Key(), "problem", p.Error()) }
}

// repositoryOf cuts the tag or the digest off the name of an image.
func repositoryOf(image string) string {
	name, _, _ := strings.Cut(image, "@")
	if slash, colon := strings.LastIndex(name, "/"), strings.LastIndex(name, ":"); colon > slash {
		name = name[:colon]
	}
	return name
}

// keyOf names what some texts identify together.
func keyOf(texts ...string) string {
	sum := sha256.New()
	for _, text := range texts {
		own := sha256.Sum256([]byte(text))
		_, _ = sum.Write(own[:])
	}
	return hex.EncodeToString(sum.Sum(nil)[:20])
}
