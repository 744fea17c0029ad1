module chandler.dev/olm/devcluster/pause

go 1.26.0
