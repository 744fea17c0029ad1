package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"chandler.dev/olm/examples/database/member"
)

func runMember(ctx context.Context, args []string, stderr io.Writer) error {
	o, service, err := memberOptions(args, stderr)
	if err != nil {
		return err
	}
	logger := zap.New(zap.WriteTo(stderr)).WithValues("member", o.Name)
	ctx = ctrl.LoggerInto(ctx, logger)
	ip := os.Getenv("POD_IP")
	o.Peers = func(ctx context.Context) ([]string, error) {
		hosts, err := net.DefaultResolver.LookupHost(ctx, service)
		return slices.DeleteFunc(hosts, func(host string) bool { return host == ip }), err
	}
	if err := awaitName(ctx, o.Host, ip); err != nil {
		return err
	}
	return member.Run(ctx, o)
}

func memberOptions(args []string, stderr io.Writer) (o member.Options, service string, err error) {
	f := flag.NewFlagSet("member", flag.ContinueOnError)
	f.SetOutput(stderr)
	role := f.String("role", string(member.Voter), "\"voter\" or \"reader\"")
	f.StringVar(&service, "service", "", "DNS `name` of the headless Service that names the pods")
	f.StringVar(&o.Cluster, "cluster", "", "`token` that tells databases apart")
	f.StringVar(&o.DataDir, "data-dir", "/var/lib/database/etcd", "`directory` of the data")
	f.StringVar(&o.Probes, "health-probe-bind-address", ":8080", "`address` of /livez and /readyz")
	if err := parse(f, args); err != nil {
		return o, "", err
	}
	o.Role, o.Name, o.State, o.Listen = member.Role(*role), os.Getenv("POD_NAME"), os.Getenv("INITIAL_CLUSTER_STATE"), "0.0.0.0"
	o.Host = o.Name + "." + service
	if o.Name == "" || service == "" || os.Getenv("POD_IP") == "" {
		return o, "", errors.New("POD_NAME, POD_IP and --service are needed: a member runs in a pod that the operator made")
	}
	if o.Role != member.Voter && o.Role != member.Reader {
		return o, "", fmt.Errorf("--role=%q is neither %q nor %q", o.Role, member.Voter, member.Reader)
	}
	if quota := os.Getenv("QUOTA_BACKEND_BYTES"); quota != "" {
		if o.Quota, err = strconv.ParseInt(quota, 10, 64); err != nil {
			return o, "", fmt.Errorf("QUOTA_BACKEND_BYTES: %w", err)
		}
	}
	return o, service, nil
}

// awaitName waits until the pod's own name leads to it: before that no other
// member can reach it.
func awaitName(ctx context.Context, host, ip string) error {
	log := ctrl.LoggerFrom(ctx)
	told := false
	return wait.PollUntilContextCancel(ctx, member.Retry, true, func(ctx context.Context) (bool, error) {
		hosts, err := net.DefaultResolver.LookupHost(ctx, host)
		if slices.Contains(hosts, ip) {
			return true, nil
		}
		if !told {
			log.Info("waiting until DNS knows this pod", "host", host, "ip", ip, "answer", hosts, "error", fmt.Sprint(err))
			told = true
		}
		return false, nil
	})
}
