// franz-go (kgo and kadm) against a broker.
package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/clients/check"
	"ottla/clients/franz"
)

func main() {
	check.Main(suite, franz.Member)
}

func suite(bootstrap string) *check.Suite {
	s := check.NewSuite("franz-go")
	c := franz.Connect(bootstrap)
	s.Check("create and describe a topic", func() { createAndDescribe(c) })
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		for _, acks := range []string{"0", "1", "all"} {
			name := fmt.Sprintf("produce and consume codec=%s acks=%s", codec, acks)
			s.Check(name, func() { roundTrip(c, codec, acks) })
		}
	}
	s.Check("idempotent produce", func() { idempotent(c) })
	s.Check("small fetches across many batches", func() { smallFetches(c) })
	s.Check("list offsets: earliest, latest, by timestamp, max timestamp", func() { listOffsets(c) })
	s.Check("leader epochs", func() { leaderEpochs(c) })
	s.Check("a waiting consumer is woken by a produce", func() { longPoll(c) })
	for _, strategy := range []string{"range", "cooperative-sticky"} {
		s.Check("a group of three, "+strategy+": one leaves, one dies", func() { c.GroupOfThree(strategy) })
	}
	s.Check("static members keep their partitions over a restart", func() { static(c) })
	s.Check("commit and resume", func() { commitAndResume(c) })
	s.Check("describe, list and delete groups, delete offsets", func() { groups(c) })
	s.Check("create partitions", func() { createPartitions(c) })
	s.Check("describe and alter configs", func() { configs(c) })
	s.Check("delete records", func() { deleteRecords(c) })
	s.Check("describe the cluster and its log directories", func() { cluster(c) })
	s.Check("topics that may not be", func() { badTopics(c) })
	s.Check("an unknown topic is not created unless asked", func() { unknownTopic(c) })
	s.Check("offset out of range", func() { outOfRange(c) })
	s.Check("a record that is too large", func() { tooLarge(c) })
	s.Check("delete a topic", func() { deleteTopic(c) })
	return s
}

func createAndDescribe(c *franz.Context) {
	topic := c.Topic(3, map[string]string{"retention.ms": "123456789"})
	details := check.Get(c.Admin.ListTopics(franz.Call(), topic))
	check.Must(details.Error())
	check.Equal(len(details[topic].Partitions), 3, "partitions")
	for _, p := range details[topic].Partitions {
		check.Equal(p.Replicas, []int32{p.Leader}, "replicas")
		check.Equal(p.ISR, []int32{p.Leader}, "in-sync replicas")
	}
	check.Equal(check.Get(c.Admin.ListTopics(franz.Call())).Has(topic), true, "listed")
}

func roundTrip(c *franz.Context, codec, acks string) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	topic := c.Topic(1, nil)
	records := check.Records(40, c.Base, codec+"-"+acks+"-")
	options := []kgo.Opt{kgo.ProducerBatchCompression(codecs[codec]), kgo.ProducerLinger(20 * time.Millisecond), kgo.DisableIdempotentWrite()}
	switch acks {
	case "0":
		options = append(options, kgo.RequiredAcks(kgo.NoAck()))
	case "1":
		options = append(options, kgo.RequiredAcks(kgo.LeaderAck()))
	}
	c.Produce(topic, 0, records, options...)
	read := c.Read(topic, 0, 0, len(records))
	check.EqualRecords(franz.Content(read), records)
	check.Equal(franz.Offsets(read), franz.Range(0, 40), "offsets")
}

func idempotent(c *franz.Context) {
	topic := c.Topic(1, nil)
	records := check.Records(500, c.Base, "")
	offsets := c.Produce(topic, 0, records, kgo.ProducerBatchMaxBytes(4000))
	check.Equal(offsets, franz.Range(0, 500), "offsets")
	check.EqualRecords(franz.Content(c.Read(topic, 0, 0, 500)), records)
}

func smallFetches(c *franz.Context) {
	topic := c.Topic(1, nil)
	records := check.Records(300, c.Base, "")
	c.Produce(topic, 0, records, kgo.ProducerBatchMaxBytes(2000))
	read := c.Read(topic, 0, 0, 300, kgo.FetchMaxBytes(500), kgo.FetchMaxPartitionBytes(500))
	check.EqualRecords(franz.Content(read), records)
	check.EqualRecords(franz.Content(c.Read(topic, 0, 123, 100)), records[123:223])
}

func listOffsets(c *franz.Context) {
	topic, base := c.Topic(1, nil), c.Base.UnixMilli()
	c.Fill(topic, 0, 20)
	c.Produce(topic, 0, []check.Record{
		{Value: []byte("late"), Time: c.Base.Add(5 * time.Second)},
		{Value: []byte("early"), Time: c.Base.Add(40 * time.Millisecond)},
	})
	offset := func(listed kadm.ListedOffsets, err error) int64 {
		check.Must(err)
		found, _ := listed.Lookup(topic, 0)
		check.Must(found.Err)
		return found.Offset
	}
	check.Equal(offset(c.Admin.ListStartOffsets(franz.Call(), topic)), 0, "earliest")
	check.Equal(offset(c.Admin.ListEndOffsets(franz.Call(), topic)), 22, "latest")
	check.Equal(offset(c.Admin.ListMaxTimestampOffsets(franz.Call(), topic)), 20, "max timestamp")
	for ms, expected := range map[int64]int64{-1000: 0, 45: 5, 191: 20, 5001: 22} {
		check.Equal(offset(c.Admin.ListOffsetsAfterMilli(franz.Call(), base+ms, topic)), expected, fmt.Sprint(ms))
	}
	after := c.Client(
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AfterMilli(base+100)),
	)
	defer after.Close()
	check.Equal(franz.Offsets(franz.Take(after, 12)), franz.Range(10, 22), "offsets read from a time on")
}

func leaderEpochs(c *franz.Context) {
	topic := c.Topic(1, nil)
	c.Fill(topic, 0, 5)
	epoch := c.Read(topic, 0, 0, 1)[0].LeaderEpoch
	var request kadm.OffsetForLeaderEpochRequest
	request.Add(topic, 0, epoch)
	answer := check.Get(c.Admin.OffsetForLeaderEpoch(franz.Call(), request))[topic][0]
	check.Must(answer.Err)
	check.Equal(answer.EndOffset, 5, "end of the epoch")
	check.Equal(answer.LeaderEpoch, epoch, "epoch")
}

func longPoll(c *franz.Context) {
	topic := c.Topic(1, nil)
	client := c.Reader(topic, 0, 0, kgo.FetchMaxWait(20*time.Second))
	defer client.Close()
	franz.Silent(client, "records of an empty topic")
	started := time.Now()
	c.Fill(topic, 0, 1)
	franz.Take(client, 1)
	check.Equal(time.Since(started) < 5*time.Second, true, "woken before the fetch's own wait ended")
}

func static(c *franz.Context) {
	topic, group := c.Topic(4, nil), check.Unique("group")
	check.StaticMembers(4, []string{c.Bootstrap, topic, group, "static"})
	left := check.Get(c.Admin.LeaveGroup(franz.Call(), kadm.LeaveGroup(group).InstanceIDs("a", "b")))
	check.Must(left.Error())
	check.Eventually("removed members are gone", 10*time.Second, func() bool {
		return state(c, group) == "Empty"
	})
}

func state(c *franz.Context, group string) string {
	described := check.Get(c.Admin.DescribeGroups(franz.Call(), group))[group]
	check.Must(described.Err)
	return described.State
}

func commitAndResume(c *franz.Context) {
	topic, group := c.Topic(1, nil), check.Unique("group")
	c.Fill(topic, 0, 30)
	first := c.Client(franz.GroupOptions(group, topic)...)
	read := franz.Take(first, 10)
	check.Equal(franz.Offsets(read), franz.Range(0, 10), "first read")
	check.Must(first.CommitRecords(franz.Call(), read...))
	first.Close()
	second := c.Client(franz.GroupOptions(group, topic)...)
	defer second.Close()
	check.Equal(franz.Offsets(franz.Take(second, 20)), franz.Range(10, 30), "read after the commit")
}

func groups(c *franz.Context) {
	topic, group := c.Topic(2, nil), check.Unique("group")
	c.Fill(topic, 0, 3)
	client := c.Client(append(franz.GroupOptions(group, topic), kgo.ClientID("described"))...)
	franz.Take(client, 3)
	check.Must(client.CommitUncommittedOffsets(franz.Call()))
	described := check.Get(c.Admin.DescribeGroups(franz.Call(), group))[group]
	check.Equal(described.State, "Stable", "state")
	check.Equal(len(described.Members), 1, "members")
	check.Equal(described.Members[0].ClientID, "described", "client id")
	check.Equal(len(described.AssignedPartitions()[topic]), 2, "assigned partitions")
	listed := check.Get(c.Admin.ListGroups(franz.Call(), "Stable"))
	check.Equal(listed[group].ProtocolType, "consumer", "listed")
	lag := check.Get(c.Admin.Lag(franz.Call(), group))[group]
	check.Must(lag.Error())
	check.Equal(lag.Lag.Total(), 0, "lag")
	_, err := c.Admin.DeleteGroup(franz.Call(), group)
	check.Fails(err, kerr.NonEmptyGroup)
	client.Close()
	check.Eventually("the group is empty", 10*time.Second, func() bool { return state(c, group) == "Empty" })

	var offsets kadm.Offsets
	offsets.AddOffset(topic, 0, 2, -1)
	offsets.AddOffset(topic, 1, 0, -1)
	check.Must(c.Admin.CommitAllOffsets(franz.Call(), group, offsets))
	var second kadm.TopicsSet
	second.Add(topic, 1)
	check.Must(check.Get(c.Admin.DeleteOffsets(franz.Call(), group, second)).Error())
	fetched := check.Get(c.Admin.FetchOffsets(franz.Call(), group))
	check.Equal(len(fetched[topic]), 1, "partitions with an offset")
	check.Equal(fetched[topic][0].At, 2, "offset")
	check.Get(c.Admin.DeleteGroup(franz.Call(), group))
	_, there := check.Get(c.Admin.ListGroups(franz.Call()))[group]
	check.Equal(there, false, "listed after the delete")
	_, err = c.Admin.DeleteGroup(franz.Call(), group)
	check.Fails(err, kerr.GroupIDNotFound)
}

func createPartitions(c *franz.Context) {
	topic := c.Topic(1, nil)
	check.Must(check.Get(c.Admin.UpdatePartitions(franz.Call(), 4, topic)).Error())
	check.Eventually("four partitions", 10*time.Second, func() bool {
		return len(check.Get(c.Admin.ListTopics(franz.Call(), topic))[topic].Partitions) == 4
	})
	check.Fails(check.Get(c.Admin.UpdatePartitions(franz.Call(), 2, topic)).Error(), kerr.InvalidPartitions)
	check.Equal(c.Fill(topic, 3, 2), []int64{0, 1}, "offsets in the fourth partition")
}

func configs(c *franz.Context) {
	topic := c.Topic(1, map[string]string{"cleanup.policy": "delete"})
	value := func(key string) string {
		described := check.Get(check.Get(c.Admin.DescribeTopicConfigs(franz.Call(), topic)).On(topic, nil))
		check.Must(described.Err)
		for _, config := range described.Configs {
			if config.Key == key {
				return config.MaybeValue()
			}
		}
		return "nothing"
	}
	alter := func(op kadm.IncrementalOp, key, value string) error {
		change := []kadm.AlterConfig{{Op: op, Name: key, Value: &value}}
		return check.Get(check.Get(c.Admin.AlterTopicConfigs(franz.Call(), change, topic)).On(topic, nil)).Err
	}
	check.Equal(value("max.message.bytes"), "1048588", "default")
	check.Must(alter(kadm.SetConfig, "max.message.bytes", "2000"))
	check.Must(alter(kadm.AppendConfig, "cleanup.policy", "compact"))
	check.Eventually("the altered value", 10*time.Second, func() bool { return value("max.message.bytes") == "2000" })
	check.Equal(value("cleanup.policy"), "delete,compact", "appended value")
	check.Must(alter(kadm.DeleteConfig, "max.message.bytes", ""))
	check.Eventually("the default again", 10*time.Second, func() bool { return value("max.message.bytes") == "1048588" })
	check.Fails(alter(kadm.SetConfig, "retention.ms", "never"), kerr.InvalidConfig)
	broker := check.Get(c.Admin.ListBrokers(franz.Call()))[0].NodeID
	described := check.Get(c.Admin.DescribeBrokerConfigs(franz.Call(), broker))
	check.Equal(len(described[0].Configs) > 100, true, "broker configs")
}

func deleteRecords(c *franz.Context) {
	topic := c.Topic(1, nil)
	c.Fill(topic, 0, 20)
	remove := func(offset int64) kadm.DeleteRecordsResponse {
		var offsets kadm.Offsets
		offsets.AddOffset(topic, 0, offset, -1)
		answer, _ := check.Get(c.Admin.DeleteRecords(franz.Call(), offsets)).Lookup(topic, 0)
		return answer
	}
	answer := remove(8)
	check.Must(answer.Err)
	check.Equal(answer.LowWatermark, 8, "low watermark")
	check.Equal(franz.Offsets(c.Read(topic, 0, 8, 12)), franz.Range(8, 20), "offsets")
	check.Fails(remove(999).Err, kerr.OffsetOutOfRange)
}

func cluster(c *franz.Context) {
	topic := c.Topic(1, nil)
	c.Fill(topic, 0, 10)
	metadata := check.Get(c.Admin.BrokerMetadata(franz.Call()))
	check.Equal(len(metadata.Brokers), 1, "brokers")
	check.Equal(metadata.Cluster != "", true, "cluster id")
	var topics kadm.TopicsSet
	topics.Add(topic, 0)
	size := int64(0)
	check.Get(c.Admin.DescribeAllLogDirs(franz.Call(), topics)).Each(func(directory kadm.DescribedLogDir) {
		check.Must(directory.Err)
		if found, there := directory.Topics.Lookup(topic, 0); there {
			size += found.Size
		}
	})
	check.Equal(size > 0, true, "size in the log directories")
	versions := check.Get(c.Admin.ApiVersions(franz.Call())).Sorted()
	check.Must(versions[0].Err)
}

func badTopics(c *franz.Context) {
	topic := c.Topic(1, nil)
	check.Fails(c.Create(topic, 1, 1, nil), kerr.TopicAlreadyExists)
	for _, name := range []string{"bad/name", "..", strings.Repeat("x", 250)} {
		check.Fails(c.Create(name, 1, 1, nil), kerr.InvalidTopicException)
	}
	check.Fails(c.Create(check.Unique("t"), 1, 3, nil), kerr.InvalidReplicationFactor)
	check.Fails(c.Create(check.Unique("t"), 0, 1, nil), kerr.InvalidPartitions)
	check.Fails(c.Create(check.Unique("t"), 1, 1, map[string]string{"no.such.config": "1"}), kerr.InvalidConfig)
	_, err := c.Admin.DeleteTopic(franz.Call(), check.Unique("nowhere"))
	check.Fails(err, kerr.UnknownTopicOrPartition)
}

func unknownTopic(c *franz.Context) {
	topic := check.Unique("nowhere")
	client := c.Client(kgo.UnknownTopicRetries(1))
	defer client.Close()
	_, err := franz.Send(client, topic, 0, check.Records(1, c.Base, ""))
	check.Fails(err, kerr.UnknownTopicOrPartition)
	check.Equal(check.Get(c.Admin.ListTopics(franz.Call())).Has(topic), false, "listed")
}

func outOfRange(c *franz.Context) {
	topic := c.Topic(1, nil)
	c.Fill(topic, 0, 3)
	strict := c.Reader(topic, 0, 100, kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	defer strict.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	check.Fails(strict.PollFetches(ctx).Err(), kerr.OffsetOutOfRange)
	reset := kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())
	check.Equal(franz.Offsets(c.Read(topic, 0, 100, 3, reset)), franz.Range(0, 3), "offsets after a reset")
}

func tooLarge(c *franz.Context) {
	topic := c.Topic(1, map[string]string{"max.message.bytes": "1000"})
	client := c.Client(kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer client.Close()
	_, err := franz.Send(client, topic, 0, []check.Record{{Value: make([]byte, 5000), Time: c.Base}})
	check.Fails(err, kerr.MessageTooLarge)
	check.Equal(c.Fill(topic, 0, 1), []int64{0}, "offset")
}

func deleteTopic(c *franz.Context) {
	topic := c.Topic(2, nil)
	c.Fill(topic, 0, 5)
	check.Get(c.Admin.DeleteTopic(franz.Call(), topic))
	check.Eventually("the topic is gone", 10*time.Second, func() bool {
		return !check.Get(c.Admin.ListTopics(franz.Call())).Has(topic)
	})
	check.Eventually("a topic of the same name", 10*time.Second, func() bool {
		return c.Create(topic, 1, 1, nil) == nil
	})
	check.Equal(c.Fill(topic, 0, 1), []int64{0}, "it starts empty")
}
