package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"sigs.k8s.io/yaml"

	"chandler.dev/olm/pkg/registry/pipeline"
	"chandler.dev/olm/pkg/registry/wire"
	api "chandler.dev/olm/proto"
)

// The benchmarks run the program as its users do, in a process of its own, and
// compare it with yardsticks of the same run: what the machine needs for the
// least that has to be done. Ratios are what counts; machines differ.

const bareAddress = "CATALOG_BENCH_BARE" // set in the process that is the bare server

func BenchmarkCommunity(b *testing.B) {
	dir := filepath.Join("..", "..", "..", "shared", "data", "catalogs", "community-v4.21")
	if d := os.Getenv("OLM_TESTDATA"); d != "" {
		dir = filepath.Join(d, "catalogs", "community-v4.21")
	}
	if _, err := os.Stat(dir); err != nil {
		b.Skip("no test data; set OLM_TESTDATA")
	}
	benchmarkCatalog(b, dir, yaml.YAMLToJSON)
}

func BenchmarkSynthetic(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "fbc")
	if err := (synthetic{packages: 330, bundles: 7000}).write(dir); err != nil {
		b.Fatal(err)
	}
	benchmarkCatalog(b, dir, nil)
}

// bench is one catalog under measurement.
type bench struct {
	*testing.B

	program string
	dir     string // of the source
	file    string // of the catalog
}

func benchmarkCatalog(b *testing.B, dir string, toJSON func([]byte) ([]byte, error)) {
	m := bench{B: b, dir: dir, program: filepath.Join(b.TempDir(), "catalog"), file: filepath.Join(b.TempDir(), "catalog.db")}
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", m.program, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	for b.Loop() {
		m.building(toJSON)
		m.serving()
	}
	b.ReportMetric(0, "ns/op")
}

// building measures the way from a source to the first answer.
func (m bench) building(toJSON func([]byte) ([]byte, error)) {
	decode := m.decoding(toJSON)
	m.ReportMetric(decode.Seconds(), "decode-s")
	took, p := m.start("serve", m.dir)
	m.ReportMetric(took.Seconds(), "cold-s")
	m.ReportMetric(took.Seconds()/decode.Seconds(), "cold/decode")
	m.ReportMetric(p.memory("VmHWM"), "build-peak-MB")
	p.stop()
	if out, err := exec.CommandContext(m.Context(), m.program, "build", "-o", m.file, m.dir).CombinedOutput(); err != nil {
		m.Fatalf("%v: %s", err, out)
	}
	info, err := os.Stat(m.file)
	if err != nil {
		m.Fatal(err)
	}
	m.ReportMetric(float64(info.Size())/1e6, "file-MB")
	m.ReportMetric(float64(info.Size())/float64(m.gzipped()), "file/gzip")
}

// decoding reads all documents of the source once, on all cores.
func (m bench) decoding(toJSON func([]byte) ([]byte, error)) time.Duration {
	start := time.Now()
	results := pipeline.Ordered(m.Context(), func(_ context.Context, start func(func() error) error) error {
		return filepath.WalkDir(m.dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, doc := range split(text, toJSON) {
				if err := start(func() error { return decodeOne(doc, toJSON) }); err != nil {
					return err
				}
			}
			return nil
		})
	})
	for err, failed := range results {
		if err := errors.Join(err, failed); err != nil {
			m.Fatal(err)
		}
	}
	return time.Since(start)
}

func (m bench) gzipped() int64 {
	var n counting
	z, err := gzip.NewWriterLevel(&n, 6)
	if err != nil {
		m.Fatal(err)
	}
	err = filepath.WalkDir(m.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, err = z.Write(text)
		return err
	})
	if err := errors.Join(err, z.Close()); err != nil {
		m.Fatal(err)
	}
	return int64(n)
}

type counting int64

func (c *counting) Write(p []byte) (int, error) {
	*c += counting(len(p))
	return len(p), nil
}

// serving measures a warm server under load, beside a bare one.
func (m bench) serving() {
	took, p := m.start("serve", m.file)
	defer p.stop()
	m.ReportMetric(took.Seconds()*1000, "warm-ms")
	client := api.NewRegistryClient(p.conn)
	places, bytes := m.list(client)
	m.ReportMetric(float64(len(places)), "entries")
	bare := m.bare(bytes)
	defer bare.stop()

	const calls = 50_000
	bareGet := m.rate(bare, 8, calls, func(ctx context.Context, r api.RegistryClient, _ int) error {
		_, err := r.GetBundle(ctx, &api.GetBundleRequest{})
		return err
	})
	get := m.rate(p, 8, calls, func(ctx context.Context, r api.RegistryClient, i int) error {
		at := places[i*7919%len(places)]
		_, err := r.GetBundle(ctx, &api.GetBundleRequest{PkgName: at.Package, ChannelName: at.Channel, CsvName: at.Bundle})
		return err
	})
	m.ReportMetric(get, "GetBundle/s")
	m.ReportMetric(get/bareGet, "GetBundle/bare")
	const lists = 12
	listAll := func(ctx context.Context, r api.RegistryClient, _ int) error {
		_, _, err := drain(ctx, r)
		return err
	}
	bareList := m.rate(bare, 2, lists, listAll)
	list := m.rate(p, 2, lists, listAll)
	m.ReportMetric(list, "ListBundles/s")
	m.ReportMetric(list/bareList, "ListBundles/bare")
	m.ReportMetric(p.memory("VmRSS"), "serving-MB")
	m.ReportMetric(m.providers(p, client, places)/get, "provider/GetBundle")
}

// providers measures the provider question over the APIs of the catalog.
func (m bench) providers(p *process, client api.RegistryClient, places []wire.Address) float64 {
	var apis []*api.GroupVersionKind
	for i := 0; i < len(places); i += 1 + len(places)/500 {
		pkg, err := client.GetPackage(m.Context(), &api.GetPackageRequest{Name: places[i].Package})
		if err != nil {
			m.Fatal(err)
		}
		for _, ch := range pkg.GetChannels() {
			if ch.GetName() != pkg.GetDefaultChannelName() {
				continue
			}
			head, err := client.GetBundle(m.Context(), &api.GetBundleRequest{PkgName: pkg.GetName(), ChannelName: ch.GetName(), CsvName: ch.GetCsvName()})
			if err != nil {
				m.Fatal(err)
			}
			apis = append(apis, head.GetProvidedApis()...)
		}
	}
	return m.rate(p, 8, 20_000, func(ctx context.Context, r api.RegistryClient, i int) error {
		g := apis[i*31%len(apis)]
		_, err := r.GetDefaultBundleThatProvides(ctx, &api.GetDefaultProviderRequest{Group: g.GetGroup(), Version: g.GetVersion(), Kind: g.GetKind()})
		return err
	})
}

// list returns all places, and the sizes that a bare server has to match.
func (m bench) list(client api.RegistryClient) ([]wire.Address, sizes) {
	places, listed, err := drain(m.Context(), client)
	if err != nil {
		m.Fatal(err)
	}
	s := sizes{messages: len(places), listed: listed / len(places)}
	const samples = 200
	for i := range samples {
		at := places[i*len(places)/samples]
		b, err := client.GetBundle(m.Context(), &api.GetBundleRequest{PkgName: at.Package, ChannelName: at.Channel, CsvName: at.Bundle})
		if err != nil {
			m.Fatal(err)
		}
		s.bundle += len(b.GetCsvJson()) + len(strings.Join(b.GetObject(), "")) + listed/len(places)
	}
	s.bundle /= samples
	m.ReportMetric(float64(s.bundle)/1000, "bundle-kB")
	return places, s
}

func drain(ctx context.Context, client api.RegistryClient) ([]wire.Address, int, error) {
	stream, err := client.ListBundles(ctx, &api.ListBundlesRequest{})
	if err != nil {
		return nil, 0, err
	}
	var places []wire.Address
	size := 0
	for {
		b, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return places, size, nil
		}
		if err != nil {
			return nil, 0, err
		}
		size += len(b.GetBundlePath()) + 60
		for _, p := range b.GetProperties() {
			size += len(p.GetType()) + len(p.GetValue()) + 8
		}
		for range b.GetProvidedApis() {
			size += 60
		}
		places = append(places, wire.Address{Package: b.GetPackageName(), Channel: b.GetChannelName(), Bundle: b.GetCsvName()})
	}
}

// rate calls from several goroutines, each over a connection of its own, and
// returns calls per second.
func (m bench) rate(p *process, clients, calls int, call func(context.Context, api.RegistryClient, int) error) float64 {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(m.Context())
	start := time.Now()
	for range clients {
		conn := connect(m.B, p.address)
		r := api.NewRegistryClient(conn)
		group.Go(func() error {
			defer conn.Close() //nolint:errcheck // only read
			for {
				i := int(next.Add(1))
				if i > calls {
					return nil
				}
				if err := call(ctx, r, i); err != nil {
					return err
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		m.Fatal(err)
	}
	return float64(calls) / time.Since(start).Seconds()
}

// process is a server that was started for the benchmark.
type process struct {
	b       *testing.B
	cmd     *exec.Cmd
	address string
	conn    *grpc.ClientConn
}

// start runs the program until it answers, and says how long that took.
func (m bench) start(args ...string) (time.Duration, *process) {
	address := freeAddress(m.B)
	args = append(args, "--address", address, "--http-address", "")
	cmd := exec.CommandContext(m.Context(), m.program, args...)
	return m.run(cmd, address)
}

// bare runs this program as a server that sends the same amounts from memory.
func (m bench) bare(s sizes) *process {
	address := freeAddress(m.B)
	cmd := exec.CommandContext(m.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s,%d,%d,%d", bareAddress, address, s.bundle, s.messages, s.listed))
	_, p := m.run(cmd, address)
	return p
}

func (m bench) run(cmd *exec.Cmd, address string) (time.Duration, *process) {
	begin := time.Now()
	cmd.Stderr = os.Stderr
	if os.Getenv("CATALOG_BENCH_VERBOSE") == "" {
		cmd.Stderr = nil
	}
	if err := cmd.Start(); err != nil {
		m.Fatal(err)
	}
	awaitPort(address)
	p := &process{b: m.B, cmd: cmd, address: address, conn: connect(m.B, address)}
	stream, err := api.NewRegistryClient(p.conn).ListPackages(m.Context(), &api.ListPackageRequest{})
	for err == nil {
		_, err = stream.Recv()
	}
	if !errors.Is(err, io.EOF) {
		m.Fatal(err)
	}
	return time.Since(begin), p
}

// awaitPort waits until somebody listens, without the backoff of a gRPC client.
func awaitPort(address string) {
	for range 100_000 {
		if conn, err := net.Dial("tcp", address); err == nil { //nolint:noctx // loopback
			_ = conn.Close()
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (p *process) stop() {
	_ = p.conn.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// memory returns a line of the process status in MB.
func (p *process) memory(line string) float64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.b.Skip("memory is only measured on Linux")
	}
	defer f.Close() //nolint:errcheck // only read
	for in := bufio.NewScanner(f); in.Scan(); {
		if rest, ok := strings.CutPrefix(in.Text(), line+":"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1000
		}
	}
	return 0
}

func connect(b *testing.B, address string) *grpc.ClientConn {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true), grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		b.Fatal(err)
	}
	return conn
}

func freeAddress(b *testing.B) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // gone at once
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // nothing was accepted
	return listener.Addr().String()
}
