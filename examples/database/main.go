// Command database is both halves of the database operator: "database
// operator" runs the controller and "database member" one etcd member. One
// binary means one image to build, mirror and scan.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage: database operator|member [flags]

  operator  reconciles ProductionReadyDatabases
  member    runs one etcd member, inside a pod that the operator made

"database operator -h" lists the flags.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

// run returns the exit code: 0 done, 1 failed, 2 bad flags.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	commands := map[string]func(context.Context, []string, io.Writer) error{
		"operator": runOperator,
		"member":   runMember,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		_, _ = io.WriteString(stderr, usage)
		return 2
	}
	err := commands[args[0]](ctx, args[1:], stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errFlags):
		return 2
	}
	_, _ = fmt.Fprintf(stderr, "database %s: %v\n", args[0], err)
	return 1
}

// errFlags marks flags that the flag package has complained about already.
var errFlags = errors.New("bad flags")

func parse(flags *flag.FlagSet, args []string) error {
	err := flags.Parse(args)
	if err == nil && flags.NArg() > 0 {
		return fmt.Errorf("%q is not a flag", flags.Arg(0))
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return errFlags
	}
	return err
}
