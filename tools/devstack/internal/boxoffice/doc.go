// Package boxoffice is what devstack knows of Boxoffice: which stores there
// are, how they are started, what the apps and sidecars are told in their
// environment, and what the ready screen says. How processes and builds are
// handled is the affair of supervise and buildcache.
package boxoffice
