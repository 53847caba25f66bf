// Command vm runs tests, or any command, in a throw-away virtual machine: Debian sid with
// systemd as its first process, cgroup v2, AppArmor, sessions of an ordinary user, podman,
// docker and containerd. QEMU runs it on its software CPU, so that it needs neither
// /dev/kvm nor cgroup v2 of the machine that it runs on; that must be a Debian with root,
// for making the image.
//
//	vm test [FLAG...] [PART...]     run tests in it: the parts "tests" and "clients", or
//	                                those named: also "short", "all", and single packages
//	                                such as integration/tour or integration/tour:user
//	vm run [FLAG...] -- COMMAND...  run a command in it
//	vm shell [FLAG...]              a shell in it, on this terminal
//	vm image [FLAG...]              make the image, or find that it is up to date
//
// The image is kept in $OCIRT_VM, by default /var/cache/ocirt-vm. No run changes it.
//
// What belongs here: making the image, running the machine, and the scripts of both sides.
// What does not: tests. The list of those that run in it is in the file packages.
package main
