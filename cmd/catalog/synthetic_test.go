package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// synthetic writes a file-based catalog in JSON, one directory per package, in
// the proportions of the catalogs that are published: bundles of a package
// look alike, sizes are log-normal (half of them below 11 kB, one in ten above
// 31 kB, 17 kB on average), every bundle is in two channels. 7,000 bundles are
// 125 MB. The same numbers give the same files.
type synthetic struct {
	packages, bundles int
}

type object map[string]any

func (s synthetic) write(dir string) error {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // it must repeat
	perPackage := s.bundles / s.packages
	for i := range s.packages {
		name := fmt.Sprintf("operator-%03d", i)
		n := perPackage
		if i < s.bundles%s.packages {
			n++
		}
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
		f, err := os.Create(filepath.Join(dir, name, "catalog.json"))
		if err != nil {
			return err
		}
		w := bufio.NewWriter(f)
		enc := json.NewEncoder(w)
		enc.SetIndent("", "    ")
		for _, blob := range packageBlobs(random, name, n) {
			if err := enc.Encode(blob); err != nil {
				return err
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

func packageBlobs(random *rand.Rand, name string, n int) []object {
	icon := make([]byte, 4000+random.IntN(16000))
	for i := range icon {
		icon[i] = byte(random.Uint32())
	}
	blobs := []object{{
		"schema": "olm.package", "name": name, "defaultChannel": "stable", "description": words(random, 80),
		"icon": object{"base64data": base64.StdEncoding.EncodeToString(icon), "mediatype": "image/png"},
	}}
	entries := make([]object, n)
	for v := range n {
		entries[v] = object{"name": bundleName(name, v)}
		if v > 0 {
			entries[v]["replaces"] = bundleName(name, v-1)
		}
	}
	for _, channel := range []string{"fast", "stable"} {
		blobs = append(blobs, object{"schema": "olm.channel", "package": name, "name": channel, "entries": entries})
	}
	// Most of what a bundle says stays from version to version.
	size := int(math.Exp(random.NormFloat64()*0.7+math.Log(900))) + 200 // words
	fixed := strings.Fields(words(random, size))
	for v := range n {
		for range len(fixed) / 20 {
			fixed[random.IntN(len(fixed))] = word(random)
		}
		blobs = append(blobs, bundleBlob(name, v, fixed))
	}
	return blobs
}

func bundleName(name string, v int) string { return fmt.Sprintf("%s.v1.%d.0", name, v) }

func bundleBlob(name string, v int, text []string) object {
	part := func(i int) string { return strings.Join(text[len(text)*i/8:len(text)*(i+1)/8], " ") }
	properties := []object{{"type": "olm.package", "value": object{"packageName": name, "version": fmt.Sprintf("1.%d.0", v)}}}
	var owned []object
	for k := range 1 + len(text)/400 {
		kind := fmt.Sprintf("Kind%d", k)
		group := name + ".example.com"
		properties = append(properties, object{"type": "olm.gvk", "value": object{"group": group, "kind": kind, "version": "v1"}})
		owned = append(owned, object{"kind": kind, "name": strings.ToLower(kind) + "s." + group, "version": "v1", "description": part(k % 8), "displayName": kind})
	}
	properties = append(properties,
		object{"type": "olm.gvk", "value": object{"group": "shared.example.com", "kind": "Shared", "version": "v1"}},
		object{"type": "olm.csv.metadata", "value": object{
			"annotations":     object{"alm-examples": part(0) + part(1) + part(2), "capabilities": "Full Lifecycle", "categories": "Database"},
			"crdDescriptions": object{"owned": owned}, "apiServiceDefinitions": object{},
			"description": part(3) + part(4) + part(5), "displayName": name, "keywords": text[:5],
			"installModes": []object{{"type": "AllNamespaces", "supported": true}},
			"provider":     object{"name": "nobody"}, "maturity": "stable",
		}})
	digest := fmt.Sprintf("%064x", len(text)*1000+v)
	return object{
		"schema": "olm.bundle", "package": name, "name": bundleName(name, v), "image": "example.com/" + name + "@sha256:" + digest,
		"properties": properties,
		"relatedImages": []object{
			{"name": "", "image": "example.com/" + name + "@sha256:" + digest},
			{"name": "operator", "image": "example.com/" + name + "-operator:v1." + fmt.Sprint(v) + ".0"},
		},
	}
}

func words(random *rand.Rand, n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = word(random)
	}
	return strings.Join(all, " ")
}

// word returns one of two thousand words, short ones more often.
func word(random *rand.Rand) string {
	n := int(2000 * math.Pow(random.Float64(), 2.5))
	syllables := []string{"ka", "lo", "mi", "nu", "pe", "ra", "su", "to", "ve", "wi", "xo", "ya"}
	text := syllables[n%12]
	for n /= 12; n > 0; n /= 12 {
		text += syllables[n%12]
	}
	return text
}
