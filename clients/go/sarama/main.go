// sarama against a broker.
package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"ottla/clients/check"
	"ottla/clients/saramas"
)

func main() {
	check.Main(suite, saramas.Member)
}

func suite(bootstrap string) *check.Suite {
	s := check.NewSuite("sarama")
	c := saramas.Connect(bootstrap)
	s.Check("create and describe a topic", func() { createAndDescribe(c) })
	for _, codec := range []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD,
	} {
		for acks, name := range map[sarama.RequiredAcks]string{sarama.NoResponse: "0", sarama.WaitForLocal: "1", sarama.WaitForAll: "all"} {
			s.Check(fmt.Sprintf("produce and consume codec=%s acks=%s", codec, name), func() { roundTrip(c, codec, acks) })
		}
	}
	s.Check("idempotent produce", func() { idempotent(c) })
	s.Check("small fetches across many batches", func() { smallFetches(c) })
	s.Check("list offsets: earliest, latest, by timestamp", func() { listOffsets(c) })
	s.Check("a waiting consumer is woken by a produce", func() { longPoll(c) })
	for _, strategy := range []string{"range", "sticky"} {
		s.Check("a group of three, "+strategy+": one leaves, one dies", func() { c.GroupOfThree(strategy) })
	}
	s.Check("commit and resume", func() { commitAndResume(c) })
	s.Check("describe, list and delete groups, delete offsets", func() { groups(c) })
	s.Check("create partitions", func() { createPartitions(c) })
	s.Check("describe and alter configs", func() { configs(c) })
	s.Check("delete records", func() { deleteRecords(c) })
	s.Check("describe the cluster and its log directories", func() { cluster(c) })
	s.Check("topics that may not be", func() { badTopics(c) })
	s.Check("offset out of range", func() { outOfRange(c) })
	s.Check("a record that is too large", func() { tooLarge(c) })
	s.Check("delete a topic", func() { deleteTopic(c) })
	return s
}

func createAndDescribe(c *saramas.Context) {
	topic := c.Topic(3, map[string]string{"retention.ms": "123456789"})
	described := check.Get(c.Admin.DescribeTopics([]string{topic}))
	check.Equal(len(described[0].Partitions), 3, "partitions")
	for _, p := range described[0].Partitions {
		check.Equal(p.Replicas, []int32{p.Leader}, "replicas")
		check.Equal(p.Isr, []int32{p.Leader}, "in-sync replicas")
	}
	listed := check.Get(c.Admin.ListTopics())
	check.Equal(*listed[topic].ConfigEntries["retention.ms"], "123456789", "listed with its configuration")
}

func roundTrip(c *saramas.Context, codec sarama.CompressionCodec, acks sarama.RequiredAcks) {
	topic := c.Topic(1, nil)
	records := check.Records(40, c.Base, fmt.Sprintf("%s-%d-", codec, acks))
	config := saramas.Config()
	config.Producer.Compression = codec
	config.Producer.RequiredAcks = acks
	check.Get(c.Produce(topic, 0, records, config))
	read := c.Read(topic, 0, 0, 40, saramas.Config())
	check.EqualRecords(saramas.Content(read), records)
	check.Equal(saramas.Offsets(read), saramas.Range(0, 40), "offsets")
}

func idempotent(c *saramas.Context) {
	topic := c.Topic(1, nil)
	records := check.Records(500, c.Base, "")
	config := saramas.Config()
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	config.Producer.Flush.MaxMessages = 20
	offsets := check.Get(c.Produce(topic, 0, records, config))
	check.Equal(offsets, saramas.Range(0, 500), "offsets")
	check.EqualRecords(saramas.Content(c.Read(topic, 0, 0, 500, saramas.Config())), records)
}

func smallFetches(c *saramas.Context) {
	topic := c.Topic(1, nil)
	records := check.Records(300, c.Base, "")
	config := saramas.Config()
	config.Producer.Flush.MaxMessages = 10
	check.Get(c.Produce(topic, 0, records, config))
	config = saramas.Config()
	config.Consumer.Fetch.Default = 2000
	check.EqualRecords(saramas.Content(c.Read(topic, 0, 0, 300, config)), records)
	check.EqualRecords(saramas.Content(c.Read(topic, 0, 123, 177, config)), records[123:])
}

func listOffsets(c *saramas.Context) {
	topic := c.Topic(1, nil)
	c.Fill(topic, 0, 20)
	client := check.Get(sarama.NewClient([]string{c.Bootstrap}, saramas.Config()))
	defer client.Close()
	base := c.Base.UnixMilli()
	for timestamp, expected := range map[int64]int64{
		sarama.OffsetOldest: 0, sarama.OffsetNewest: 20, base + 45: 5, base + 190: 19,
	} {
		check.Equal(check.Get(client.GetOffset(topic, 0, timestamp)), expected, fmt.Sprint(timestamp))
	}
}

func longPoll(c *saramas.Context) {
	topic := c.Topic(1, nil)
	config := saramas.Config()
	config.Consumer.MaxWaitTime = 8 * time.Second
	consumer := check.Get(sarama.NewConsumer([]string{c.Bootstrap}, config))
	defer consumer.Close()
	claim := check.Get(consumer.ConsumePartition(topic, 0, 0))
	time.Sleep(time.Second)
	started := time.Now()
	c.Fill(topic, 0, 1)
	saramas.Take(claim.Messages(), 1)
	check.Equal(time.Since(started) < 4*time.Second, true, "woken before the fetch's own wait ended")
	claim.Close()
}

func commitAndResume(c *saramas.Context) {
	topic, group := c.Topic(1, nil), check.Unique("group")
	c.Fill(topic, 0, 30)
	check.Equal(c.ReadInGroup(group, topic, 10, nil), saramas.Range(0, 10), "first read")
	check.Equal(c.ReadInGroup(group, topic, 20, nil), saramas.Range(10, 30), "read after the commit")
}

func groups(c *saramas.Context) {
	topic, group := c.Topic(1, nil), check.Unique("group")
	c.Fill(topic, 0, 3)
	c.ReadInGroup(group, topic, 3, func() {
		described := check.Get(c.Admin.DescribeConsumerGroups([]string{group}))[0]
		check.Equal(described.State, "Stable", "state")
		check.Equal(len(described.Members), 1, "members")
		check.Fails(c.Admin.DeleteConsumerGroup(group), sarama.ErrNonEmptyGroup)
	})
	check.Equal(check.Get(c.Admin.ListConsumerGroups())[group], "consumer", "listed")
	committed := func() int64 {
		found := check.Get(c.Admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}}))
		return found.GetBlock(topic, 0).Offset
	}
	check.Equal(committed(), 3, "committed")
	check.Must(c.Admin.DeleteConsumerGroupOffset(group, topic, 0))
	check.Equal(committed(), -1, "committed after the offset was deleted")
	check.Must(c.Admin.DeleteConsumerGroup(group))
	_, there := check.Get(c.Admin.ListConsumerGroups())[group]
	check.Equal(there, false, "listed after the delete")
	check.Fails(c.Admin.DeleteConsumerGroup(group), sarama.ErrGroupIDNotFound)
}

func createPartitions(c *saramas.Context) {
	topic := c.Topic(1, nil)
	check.Must(c.Admin.CreatePartitions(topic, 4, nil, false))
	check.Eventually("four partitions", 10*time.Second, func() bool {
		return len(check.Get(c.Admin.DescribeTopics([]string{topic}))[0].Partitions) == 4
	})
	check.Fails(c.Admin.CreatePartitions(topic, 2, nil, false), sarama.ErrInvalidPartitions)
	check.Equal(c.Fill(topic, 3, 2), []int64{0, 1}, "offsets in the fourth partition")
}

func configs(c *saramas.Context) {
	topic := c.Topic(1, map[string]string{"cleanup.policy": "delete"})
	value := func(name string) string {
		for _, entry := range check.Get(c.Admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})) {
			if entry.Name == name {
				return entry.Value
			}
		}
		return "nothing"
	}
	alter := func(name, value string, operation sarama.IncrementalAlterConfigsOperation) error {
		entries := map[string]sarama.IncrementalAlterConfigsEntry{name: {Operation: operation, Value: &value}}
		return c.Admin.IncrementalAlterConfig(sarama.TopicResource, topic, entries, false)
	}
	check.Equal(value("max.message.bytes"), "1048588", "default")
	check.Must(alter("max.message.bytes", "2000", sarama.IncrementalAlterConfigsOperationSet))
	check.Eventually("the altered value", 10*time.Second, func() bool { return value("max.message.bytes") == "2000" })
	check.Must(alter("cleanup.policy", "compact", sarama.IncrementalAlterConfigsOperationAppend))
	check.Eventually("the appended value", 10*time.Second, func() bool { return value("cleanup.policy") == "delete,compact" })
	check.Fails(alter("retention.ms", "never", sarama.IncrementalAlterConfigsOperationSet), sarama.ErrInvalidConfig)
	replaced := "5000"
	check.Must(c.Admin.AlterConfig(sarama.TopicResource, topic, map[string]*string{"retention.ms": &replaced}, false))
	check.Eventually("the older call resets the rest", 10*time.Second, func() bool {
		return value("retention.ms") == "5000" && value("max.message.bytes") == "1048588"
	})
}

func deleteRecords(c *saramas.Context) {
	topic := c.Topic(1, nil)
	c.Fill(topic, 0, 20)
	check.Must(c.Admin.DeleteRecords(topic, map[int32]int64{0: 8}))
	read := c.Read(topic, 0, sarama.OffsetOldest, 12, saramas.Config())
	check.Equal(saramas.Offsets(read), saramas.Range(8, 20), "offsets")
}

func cluster(c *saramas.Context) {
	topic := c.Topic(1, nil)
	c.Fill(topic, 0, 10)
	brokers, _, err := c.Admin.DescribeCluster()
	check.Must(err)
	check.Equal(len(brokers), 1, "brokers")
	size := int64(0)
	for _, directory := range check.Get(c.Admin.DescribeLogDirs([]int32{brokers[0].ID()}))[brokers[0].ID()] {
		for _, found := range directory.Topics {
			if found.Topic == topic {
				size += found.Partitions[0].Size
			}
		}
	}
	check.Equal(size > 0, true, "size in the log directories")
}

func badTopics(c *saramas.Context) {
	topic := c.Topic(1, nil)
	check.Fails(c.Create(topic, 1, 1, nil), sarama.ErrTopicAlreadyExists)
	for _, name := range []string{"bad/name", "..", strings.Repeat("x", 250)} {
		check.Fails(c.Create(name, 1, 1, nil), sarama.ErrInvalidTopic)
	}
	check.Fails(c.Create(check.Unique("t"), 1, 3, nil), sarama.ErrInvalidReplicationFactor)
	check.Fails(c.Create(check.Unique("t"), 1, 1, map[string]string{"no.such.config": "1"}), sarama.ErrInvalidConfig)
	check.Fails(c.Admin.DeleteTopic(check.Unique("nowhere")), sarama.ErrUnknownTopicOrPartition)
}

func outOfRange(c *saramas.Context) {
	topic := c.Topic(1, nil)
	c.Fill(topic, 0, 3)
	consumer := check.Get(sarama.NewConsumer([]string{c.Bootstrap}, saramas.Config()))
	defer consumer.Close()
	_, err := consumer.ConsumePartition(topic, 0, 100)
	check.Fails(err, sarama.ErrOffsetOutOfRange)
}

func tooLarge(c *saramas.Context) {
	topic := c.Topic(1, map[string]string{"max.message.bytes": "1000"})
	_, err := c.Produce(topic, 0, []check.Record{{Value: make([]byte, 5000), Time: c.Base}}, saramas.Config())
	check.Fails(err.(sarama.ProducerErrors)[0].Err, sarama.ErrMessageSizeTooLarge)
	check.Equal(c.Fill(topic, 0, 1), []int64{0}, "offset")
}

func deleteTopic(c *saramas.Context) {
	topic := c.Topic(2, nil)
	c.Fill(topic, 0, 5)
	check.Must(c.Admin.DeleteTopic(topic))
	check.Eventually("the topic is gone", 10*time.Second, func() bool {
		_, there := check.Get(c.Admin.ListTopics())[topic]
		return !there
	})
}
