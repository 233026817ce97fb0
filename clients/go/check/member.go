package check

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const rebalanceTimeMax = 30 * time.Second

// Place is where a record lies.
type Place struct {
	Partition int32
	Offset    int64
}

// Member is a group member in a process of its own, so that it can be killed like one. It prints
// "assigned 0,2" when its partitions change and "got PARTITION OFFSET" for each record; a closed
// standard input asks it to leave.
type Member struct {
	command  *exec.Cmd
	stdin    io.Closer
	mutex    sync.Mutex
	assigned []int32
	got      map[Place]bool
	log      []string
}

// StartMember starts this program again as a member.
func StartMember(arguments ...string) *Member {
	command := exec.Command(Get(os.Executable()), append([]string{"member"}, arguments...)...)
	command.Stderr = os.Stderr
	stdin := Get(command.StdinPipe())
	stdout := Get(command.StdoutPipe())
	Must(command.Start())
	m := &Member{command: command, stdin: stdin, got: map[Place]bool{}}
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			m.read(lines.Text())
		}
	}()
	return m
}

func (m *Member) read(line string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.log = append(m.log, line)
	words := strings.Fields(line)
	switch {
	case words[0] == "assigned":
		m.assigned = nil
		for _, partition := range strings.FieldsFunc(strings.Join(words[1:], ""), func(r rune) bool { return r == ',' }) {
			m.assigned = append(m.assigned, int32(Get(strconv.Atoi(partition))))
		}
	case words[0] == "got" && len(words) == 3:
		m.got[Place{int32(Get(strconv.Atoi(words[1]))), int64(Get(strconv.Atoi(words[2])))}] = true
	}
}

// Assigned is what the member last said that it has.
func (m *Member) Assigned() []int32 {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return slices.Clone(m.assigned)
}

// Got tells whether the member read the record.
func (m *Member) Got(place Place) bool {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.got[place]
}

// Log is everything the member said.
func (m *Member) Log() []string {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return slices.Clone(m.log)
}

// Leave asks the member to leave its group and waits for its end.
func (m *Member) Leave() {
	m.stdin.Close()
	m.command.Wait()
	m.end()
}

// Kill ends the member without a word to the broker.
func (m *Member) Kill() {
	m.command.Process.Kill()
	m.command.Wait()
	m.end()
}

func (m *Member) end() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.assigned = nil
}

// LeaveRequest is closed when the parent closes our standard input.
func LeaveRequest() <-chan struct{} {
	leave := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(leave)
	}()
	return leave
}

// Assignment keeps a member's partitions and prints them whenever they change.
type Assignment struct {
	mutex      sync.Mutex
	partitions []int32
}

// Add prints what the member has with these.
func (a *Assignment) Add(partitions []int32) {
	a.update(func(has []int32) []int32 { return append(has, partitions...) })
}

// Remove prints what the member has without these.
func (a *Assignment) Remove(partitions []int32) {
	a.update(func(has []int32) []int32 {
		return slices.DeleteFunc(has, func(p int32) bool { return slices.Contains(partitions, p) })
	})
}

// Set prints what the member has.
func (a *Assignment) Set(partitions []int32) {
	a.update(func([]int32) []int32 { return slices.Clone(partitions) })
}

func (a *Assignment) update(change func([]int32) []int32) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.partitions = change(a.partitions)
	slices.Sort(a.partitions)
	words := make([]string, len(a.partitions))
	for i, partition := range a.partitions {
		words[i] = strconv.Itoa(int(partition))
	}
	fmt.Println("assigned", strings.Join(words, ","))
}

func sharedBy(partitions int32, members ...*Member) bool {
	var all []int32
	for _, m := range members {
		has := m.Assigned()
		if len(has) == 0 {
			return false
		}
		all = append(all, has...)
	}
	slices.Sort(all)
	for i, partition := range all {
		if int32(i) != partition {
			return false
		}
	}
	return int32(len(all)) == partitions
}

// GroupOfThree starts three members, lets one leave, kills one, and sees the last one have it all.
// produce appends a few records to every partition and says where they lie.
func GroupOfThree(partitions int32, arguments []string, produce func() []Place) {
	var members []*Member
	for i := range 3 {
		members = append(members, StartMember(append(slices.Clone(arguments), fmt.Sprintf("member-%d", i))...))
	}
	defer func() {
		for _, m := range members {
			m.command.Process.Kill()
		}
	}()
	wait := func(what string, condition func() bool) {
		defer func() {
			if problem := recover(); problem != nil {
				for i, m := range members {
					log := m.Log()
					problem = fmt.Sprintf("%v; member %d: %q", problem, i, log[max(0, len(log)-6):])
				}
				panic(problem)
			}
		}()
		Eventually(what, rebalanceTimeMax, condition)
	}
	first, leaver, victim := members[0], members[1], members[2]
	wait("three members share the partitions", func() bool { return sharedBy(partitions, members...) })
	places := produce()
	wait("three members got every record", func() bool {
		return !slices.ContainsFunc(places, func(place Place) bool {
			return !first.Got(place) && !leaver.Got(place) && !victim.Got(place)
		})
	})
	leaver.Leave()
	wait("two members share the partitions after a leave", func() bool { return sharedBy(partitions, first, victim) })
	victim.Kill()
	wait("one member has every partition after a death", func() bool { return sharedBy(partitions, first) })
	places = produce()
	wait("the last member got every record", func() bool {
		return !slices.ContainsFunc(places, func(place Place) bool { return !first.Got(place) })
	})
	first.Leave()
}

// StaticMembers starts two static members and restarts one within its session: it gets its own back,
// and the other one sees no rebalance. A member's last argument is the name of its instance.
func StaticMembers(partitions int32, arguments []string) {
	start := func(name string) *Member { return StartMember(append(slices.Clone(arguments), name)...) }
	a, b := start("a"), start("b")
	defer func() {
		a.Kill()
		b.Kill()
	}()
	Eventually("both members have partitions", rebalanceTimeMax, func() bool { return sharedBy(partitions, a, b) })
	had, seen := b.Assigned(), len(a.Log())
	b.Leave()
	b = start("b")
	Eventually("the restarted member has partitions", rebalanceTimeMax, func() bool { return len(b.Assigned()) > 0 })
	Equal(b.Assigned(), had, "partitions after the restart")
	Equal(a.Log()[seen:], []string{}, "what the other member saw")
}
