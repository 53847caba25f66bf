package crash
import ("testing";"fmt";"os";"strconv"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/ocirt/ocirt/integration/internal/lab")
func TestZZ(t *testing.T) {
	keeper := lab.New(t)
	c := keeper.Create(lab.NewBundle(t, lab.Check("sleep", "forever")))
	a := newArena(t, lab.Namespace(specs.PIDNamespace, fmt.Sprintf("/proc/%d/ns/pid", c.Pid)))
	at, _ := strconv.Atoi(os.Getenv("AT"))
	res := a.hit(operation{args: []string{"create"}}, blow{role: initer, at: at})
	fmt.Println(res.hung, a.said()[:min(3500,len(a.said()))])
	a.settle()
}
