// Package runtime makes, starts, looks at, signals and removes containers: the library
// under the command ocirt.
//
// A container is a directory under the root of the Runtime, and a first process that waits
// between Create and Start:
//
//	Create ──> created ──Start──> running ──its end──> stopped ──Delete──> (gone)
//	              └──────────────Kill / Delete────────────┘
//
//	func main() {
//		runtime.Init() // returns at once unless this process is a builder
//
//		rt, err := runtime.New("/run/demo")
//		...
//		bundle, err := spec.Load("bundle")
//		...
//		c, err := rt.Create(ctx, "demo", bundle, runtime.CreateOptions{Stdio: runtime.Inherit()})
//		...
//		err = c.Start(ctx, runtime.StartOptions{})
//		status, err := c.Wait(ctx)
//	}
//
// What belongs here: the life of a container. What does not: what config.json may say
// (package spec), running a hook (package hooks), flags and exit codes (the command).
package runtime
