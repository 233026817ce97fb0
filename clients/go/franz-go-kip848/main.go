// Consumer groups with the server's assignment (KIP-848) with franz-go.
//
// The broker must allow short sessions: see the settings of this suite in crates/xtask.
package main

import (
	"ottla/clients/check"
	"ottla/clients/franz"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	check.Main(suite, franz.Member)
}

func suite(bootstrap string) *check.Suite {
	s := check.NewSuite("franz-go kip848")
	c := franz.Connect(bootstrap)
	s.Check("a group of three: one leaves, one dies", func() { c.GroupOfThree("consumer") })
	s.Check("commit and resume", func() { commitAndResume(c) })
	s.Check("describe", func() { describe(c) })
	return s
}

func options(group, topic string) []kgo.Opt {
	return append(franz.GroupOptions(group, topic), kgo.Balancers(kgo.RangeBalancer()), kgo.ServerSideBalancer())
}

func commitAndResume(c *franz.Context) {
	topic, group := c.Topic(1, nil), check.Unique("group")
	c.Fill(topic, 0, 30)
	first := c.Client(options(group, topic)...)
	read := franz.Take(first, 10)
	check.Must(first.CommitRecords(franz.Call(), read...))
	first.Close()
	second := c.Client(options(group, topic)...)
	defer second.Close()
	check.Equal(franz.Offsets(franz.Take(second, 20)), franz.Range(10, 30), "read after the commit")
}

func describe(c *franz.Context) {
	topic, group := c.Topic(2, nil), check.Unique("group")
	c.Fill(topic, 0, 3)
	client := c.Client(append(options(group, topic), kgo.ClientID("described"))...)
	defer client.Close()
	franz.Take(client, 3)
	described := check.Get(c.Admin.DescribeConsumerGroups(franz.Call(), group))[group]
	check.Must(described.Err)
	check.Equal(described.State, "Stable", "state")
	check.Equal(len(described.Members), 1, "members")
	check.Equal(described.Members[0].ClientID, "described", "client id")
	listed := check.Get(c.Admin.ListGroupsByType(franz.Call(), []string{"consumer"}))
	_, there := listed[group]
	check.Equal(there, true, "listed as a consumer group")
}
