package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
)

// Times of following.
const (
	requestTimeout = 30 * time.Second
	watchTimeout   = 5 * time.Minute // the server ends a watch; it is begun again where it ended
	pageSize       = "500"
	maxAnswer      = 256 << 20 // bytes
)

// statusError is what an API server answers instead of an object.
type statusError struct {
	Code    int    `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func (e *statusError) Error() string {
	return fmt.Sprintf("the API server answers %d %s: %s", e.Code, e.Reason, e.Message)
}

// answered reports whether an API server answered with one of some codes.
func answered(err error, codes ...int) bool {
	e, ok := errors.AsType[*statusError](err)
	return ok && slices.Contains(codes, e.Code)
}

// client reads objects in JSON.
type client struct {
	base  string
	http  *http.Client
	clock clock.Clock
}

// open sends a request; the caller closes the body.
func (c *client) open(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "chandler-catalog")
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close() //nolint:errcheck // only read
	status := &statusError{}
	_ = json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(status) // the code says enough
	status.Code = response.StatusCode
	return nil, status
}

// get reads one object or page into v.
func (c *client) get(ctx context.Context, path string, query url.Values, v any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	body, err := c.open(ctx, path, query)
	if err != nil {
		return err
	}
	defer body.Close() //nolint:errcheck // only read
	return json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(v)
}

// followed is a kind of objects that is followed.
type followed struct {
	path     string
	selector string // of fields; empty for all
	// replace takes all objects; put and remove take one.
	replace     func(objects []json.RawMessage)
	put, remove func(object json.RawMessage)
	// trouble is told why objects cannot be read; it is tried again.
	trouble func(error)
}

// follow reads objects and every change of them until ctx ends.
func (c *client) follow(ctx context.Context, f followed) {
	version, backoff := "", newBackoff()
	for ctx.Err() == nil {
		var err error
		if version == "" {
			version, err = c.list(ctx, f)
		} else {
			began := version
			if version, err = c.watch(ctx, f, version); version != began {
				backoff = newBackoff()
			}
		}
		if answered(err, http.StatusGone) {
			version, err = "", nil
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		f.trouble(err)
		select {
		case <-ctx.Done():
		case <-c.clock.After(backoff.Step()):
		}
	}
}

func newBackoff() *wait.Backoff {
	return &wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 20, Cap: 30 * time.Second}
}

// list reads all objects, page by page, and returns the version to watch from.
func (c *client) list(ctx context.Context, f followed) (version string, err error) {
	var all []json.RawMessage
	query := f.query()
	query.Set("limit", pageSize)
	for {
		var page struct {
			Metadata struct{ ResourceVersion, Continue string }
			Items    []json.RawMessage
		}
		if err := c.get(ctx, f.path, query, &page); err != nil {
			return "", err
		}
		all = append(all, page.Items...)
		if page.Metadata.Continue == "" {
			f.replace(all)
			return page.Metadata.ResourceVersion, nil
		}
		query.Set("continue", page.Metadata.Continue)
	}
}

// watch reads changes after a version until the server ends it, and returns the
// version of the last change; empty if the objects have to be listed again.
func (c *client) watch(ctx context.Context, f followed, version string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout+requestTimeout)
	defer cancel()
	query := f.query()
	query.Set("watch", "1")
	query.Set("allowWatchBookmarks", "true")
	query.Set("resourceVersion", version)
	query.Set("timeoutSeconds", strconv.Itoa(int(wait.Jitter(watchTimeout*4/5, 0.25).Seconds())))
	body, err := c.open(ctx, f.path, query)
	if err != nil {
		return version, err
	}
	defer body.Close() //nolint:errcheck // only read
	events := json.NewDecoder(body)
	for {
		var event struct {
			Type   string
			Object json.RawMessage
		}
		if err := events.Decode(&event); errors.Is(err, io.EOF) {
			return version, nil
		} else if err != nil {
			return version, err
		}
		if event.Type == "ERROR" {
			status := &statusError{}
			_ = json.Unmarshal(event.Object, status) // any error ends the watch
			return "", status
		}
		if version, err = versionOf(event.Object); err != nil {
			return "", err
		}
		switch event.Type {
		case "ADDED", "MODIFIED":
			f.put(event.Object)
		case "DELETED":
			f.remove(event.Object)
		}
	}
}

func (f followed) query() url.Values {
	query := url.Values{}
	if f.selector != "" {
		query.Set("fieldSelector", f.selector)
	}
	return query
}

func versionOf(object json.RawMessage) (string, error) {
	var head struct {
		Metadata struct{ ResourceVersion string }
	}
	if err := json.Unmarshal(object, &head); err != nil {
		return "", err
	}
	if head.Metadata.ResourceVersion == "" {
		return "", errors.New("the API server sent an object without a version")
	}
	return head.Metadata.ResourceVersion, nil
}
