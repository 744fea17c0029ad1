// Package pipeline runs independent work on all cores and gives the results in
// order, with a bounded number of them under way: how catalogs are read,
// encoded and written without being held in memory.
package pipeline

import (
	"context"
	"iter"
	"runtime"
)

// ahead is how many results per core may wait for the consumer.
const ahead = 2

// Ordered calls produce, which starts pieces of work, and yields their results
// in the order in which they were started. start blocks while enough work is
// under way. The error of produce is yielded last.
func Ordered[R any](ctx context.Context, produce func(ctx context.Context, start func(work func() R) error) error) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		workers := runtime.GOMAXPROCS(0)
		results := make(chan chan R, ahead*workers)
		slots := make(chan struct{}, workers)
		failed := make(chan error, 1)
		go func() {
			defer close(results)
			failed <- produce(ctx, func(work func() R) error {
				result := make(chan R, 1)
				select {
				case results <- result:
				case <-ctx.Done():
					return ctx.Err()
				}
				slots <- struct{}{}
				go func() {
					defer func() { <-slots }()
					result <- work()
				}()
				return nil
			})
		}()
		for result := range results {
			if !yield(<-result, nil) {
				return
			}
		}
		if err := <-failed; err != nil {
			var none R
			yield(none, err)
		}
	}
}
