package resolver

// Change is one difference to a Problem; exactly one field is set.
type Change struct {
	Subscribe     *Subscription // added, or put in place of the one of that name
	Unsubscribe   string        // name of a subscription
	Uninstall     string        // name of an installed bundle
	Install       *Installed    // added, or put in place of the one of that name
	Catalog       *Catalog      // added, or put in place of the one of that reference
	RemoveCatalog *CatalogRef
	KubeVersion   string
}
