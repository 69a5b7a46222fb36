// What Prometheus itself makes of our metrics, rules and queries: its parser of the exposition, promtool's linter, its parser of rules and
// of PromQL, and its evaluation of rules. It reads standard input and answers JSON; it judges nothing that Prometheus does not.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	mode := map[string]func(io.Reader, *json.Encoder) error{
		"lint": lint, "rules": listed, "queries": queries, "alerts": alerts,
	}
	if len(os.Args) != 2 || mode[os.Args[1]] == nil {
		fail(errors.New("usage: prometheus lint|rules|queries|alerts"))
	}
	if err := mode[os.Args[1]](os.Stdin, json.NewEncoder(os.Stdout)); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// lint answers what promtool complains about in an exposition of OpenMetrics, as a list of strings.
func lint(in io.Reader, out *json.Encoder) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	families, err := families(text)
	if err != nil {
		return err
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		return err
	}
	found := []string{}
	for _, problem := range problems {
		found = append(found, problem.Metric+": "+problem.Text)
	}
	return out.Encode(found)
}

var types = map[model.MetricType]dto.MetricType{
	model.MetricTypeCounter:   dto.MetricType_COUNTER,
	model.MetricTypeGauge:     dto.MetricType_GAUGE,
	model.MetricTypeHistogram: dto.MetricType_HISTOGRAM,
	model.MetricTypeInfo:      dto.MetricType_GAUGE,
}

// families is what the linter reads: a family by the name that is queried, and the labels of its samples.
func families(text []byte) ([]*dto.MetricFamily, error) {
	all := []*dto.MetricFamily{}
	help := map[string]string{}
	parse := textparse.NewOpenMetricsParser(text, labels.NewSymbolTable())
	for {
		entry, err := parse.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		switch entry {
		case textparse.EntryHelp:
			name, text := parse.Help()
			help[string(name)] = string(text)
		case textparse.EntryType:
			bytes, kind := parse.Type()
			declared := string(bytes)
			text, named := help[declared], declared
			switch kind {
			case model.MetricTypeCounter:
				named += "_total"
			case model.MetricTypeInfo:
				named += "_info"
			}
			of, known := types[kind]
			if !known {
				return nil, fmt.Errorf("%s: type %s", declared, kind)
			}
			all = append(all, &dto.MetricFamily{Name: &named, Help: &text, Type: &of})
		case textparse.EntrySeries:
			if len(all) == 0 {
				return nil, errors.New("a sample before any family")
			}
			var sample labels.Labels
			parse.Labels(&sample)
			family := all[len(all)-1]
			if !strings.HasPrefix(sample.Get(labels.MetricName), family.GetName()) {
				return nil, fmt.Errorf("a sample of %s stands below %s", sample.Get(labels.MetricName), family.GetName())
			}
			// Of a histogram one series is enough for each set of labels.
			if name := sample.Get(labels.MetricName); name == family.GetName() || name == family.GetName()+"_count" {
				family.Metric = append(family.Metric, metric(sample))
			}
		}
	}
}

func metric(sample labels.Labels) *dto.Metric {
	metric := &dto.Metric{}
	sample.Range(func(label labels.Label) {
		if label.Name != labels.MetricName {
			metric.Label = append(metric.Label, &dto.LabelPair{Name: &label.Name, Value: &label.Value})
		}
	})
	return metric
}

// listed answers the rules of a file as JSON, once Prometheus takes them, templates included.
func listed(in io.Reader, out *json.Encoder) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	parse := parser.NewParser(parser.Options{})
	groups, failures := rulefmt.Parse(text, false, model.UTF8Validation, parse, slog.New(slog.DiscardHandler))
	if len(failures) > 0 {
		return errors.Join(failures...)
	}
	all := []rulefmt.Rule{}
	for _, group := range groups.Groups {
		all = append(all, group.Rules...)
	}
	return out.Encode(all)
}

// Query is what a query names.
type Query struct {
	// Selectors are the metrics, with the matchers on their labels.
	Selectors []Selector `json:"selectors"`
	// Labels are those that it groups and joins by.
	Labels []string `json:"labels"`
}

// Selector is one metric of a query.
type Selector struct {
	Name     string    `json:"name"`
	Matchers []Matcher `json:"matchers"`
}

// Matcher is one condition on a label.
type Matcher struct {
	Label string `json:"label"`
	Op    string `json:"op"`
	Value string `json:"value"`
}

// queries answers a Query for each line, which is a JSON string of PromQL.
func queries(in io.Reader, out *json.Encoder) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var text string
		if err := json.Unmarshal(lines.Bytes(), &text); err != nil {
			return err
		}
		expression, err := parser.NewParser(parser.Options{}).ParseExpr(text)
		if err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		query := Query{Selectors: []Selector{}, Labels: []string{}}
		parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
			query.take(node)
			return nil
		})
		if err := out.Encode(query); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (query *Query) take(node parser.Node) {
	switch node := node.(type) {
	case *parser.VectorSelector:
		selector := Selector{Name: node.Name, Matchers: []Matcher{}}
		for _, matcher := range node.LabelMatchers {
			if matcher.Name != labels.MetricName {
				selector.Matchers = append(selector.Matchers, Matcher{matcher.Name, matcher.Type.String(), matcher.Value})
			}
		}
		query.Selectors = append(query.Selectors, selector)
	case *parser.AggregateExpr:
		query.Labels = append(query.Labels, node.Grouping...)
	case *parser.BinaryExpr:
		if node.VectorMatching != nil {
			query.Labels = append(query.Labels, node.VectorMatching.MatchingLabels...)
			query.Labels = append(query.Labels, node.VectorMatching.Include...)
		}
	}
}
