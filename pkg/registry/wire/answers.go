package wire

import (
	"context"
	"iter"

	"chandler.dev/olm/pkg/registry"
	api "chandler.dev/olm/proto"
)

// Answers are what one catalog answers to the calls of package api. A message
// may hold its fields in encoded form only (Encoded); it is for sending, not
// for reading. Lists are sorted by package, channel and bundle unless a method
// says otherwise.
type Answers interface {
	Reader
	Asker
}

// Reader answers calls that name what they want.
type Reader interface {
	Packages(ctx context.Context) ([]string, error)
	// PackageAnswer returns the answer of GetPackage, always readable.
	PackageAnswer(ctx context.Context, name string) (*api.Package, error)
	// BundleAnswer returns the answer of GetBundle.
	BundleAnswer(ctx context.Context, at Address) (*api.Bundle, error)
	// BundleAnswers yields the answer of ListBundles, by channel, package and bundle.
	BundleAnswers(ctx context.Context) iter.Seq2[*api.Bundle, error]
	// Blobs returns the items of an extension schema.
	Blobs(ctx context.Context, schema, pkg string) ([]registry.Blob, error)
}

// BundleAppender is what Answers offer that can write the answer of GetBundle
// into memory that was used before.
type BundleAppender interface {
	// AppendBundleAnswer appends the answer to dst.
	AppendBundleAnswer(ctx context.Context, at Address, dst []byte) (Answer, error)
}

// Asker answers calls that search.
type Asker interface {
	// Upgrading returns the entries of all channels that replace or skip a bundle.
	Upgrading(ctx context.Context, bundle string) ([]registry.Member, error)
	// Providers returns the entries of all channels that provide an API.
	Providers(ctx context.Context, gvk registry.GVK) ([]registry.Member, error)
	// Latest returns the channel heads that provide an API; of their Skips
	// only those that are entries of the same channel.
	Latest(ctx context.Context, gvk registry.GVK) ([]registry.Member, error)
	// DefaultProvider returns the first of Latest that is in the default channel
	// of its package, the zero Address if there is none.
	DefaultProvider(ctx context.Context, gvk registry.GVK) (Address, error)
	// Replacement returns the name of the entry nearest the head of a channel
	// that replaces or skips a bundle, empty if there is none.
	Replacement(ctx context.Context, at Address) (string, error)
}

// Address is the place of a bundle.
type Address struct {
	Package, Channel, Bundle string
}

// Encoded returns a message that consists of encoded fields, without decoding
// them: sending it copies the bytes, which nobody may change. Its fields
// cannot be read.
func Encoded(fields []byte) *api.Bundle {
	msg := &api.Bundle{}
	msg.ProtoReflect().SetUnknown(fields)
	return msg
}

// Numbers of the fields of a bundle that hold manifests.
const (
	csvJSONField = 4
	objectField  = 5
)

// ReplacementEntries returns the answer of GetChannelEntriesThatReplace: one
// entry if a member replaces the bundle, one for every skip of it otherwise.
func ReplacementEntries(members []registry.Member, bundle string) []*api.ChannelEntry {
	var all []*api.ChannelEntry
	for _, m := range members {
		if m.Replaces == bundle {
			all = append(all, channelEntry(m, m.Replaces))
			continue
		}
		for _, s := range m.Skips {
			if s == bundle {
				all = append(all, channelEntry(m, m.Replaces))
			}
		}
	}
	return all
}

// ProviderEntries returns the answer of the calls that stream providers: for
// every member what it replaces, then what it skips.
func ProviderEntries(members []registry.Member) []*api.ChannelEntry {
	var all []*api.ChannelEntry
	for _, m := range members {
		all = append(all, channelEntry(m, m.Replaces))
		for _, s := range m.Skips {
			if s != m.Replaces {
				all = append(all, channelEntry(m, s))
			}
		}
	}
	return all
}

func channelEntry(m registry.Member, replaces string) *api.ChannelEntry {
	return &api.ChannelEntry{
		PackageName: text(m.Package), ChannelName: text(m.Channel), BundleName: text(m.Name), Replaces: text(replaces),
	}
}
