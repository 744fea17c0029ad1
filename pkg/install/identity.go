package install

// ExtraLifecycle is the extra attribute of a user as whom the lifecycle acts. Only who
// may impersonate it can have it, so that policies can tell what a ServiceAccount does
// from what the lifecycle does with its rights.
const ExtraLifecycle = "chandler.dev/lifecycle"
