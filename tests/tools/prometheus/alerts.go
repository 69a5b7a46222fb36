package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
)

// History is what Prometheus scraped, once a minute.
type History struct {
	// Rules are a file of rules.
	Rules string `json:"rules"`
	// Minutes is how long it goes on. The rules are evaluated in each.
	Minutes int `json:"minutes"`
	// Series are the samples, in the notation of promtool's unit tests, such as "a{b=\"c\"} 1x9 stale".
	Series []string `json:"series"`
}

// Alert is one that fires.
type Alert struct {
	Minute int    `json:"minute"`
	Alert  string `json:"alert"`
	// Labels are those of the alert; without its name.
	Labels map[string]string `json:"labels"`
	// Annotations are those that people read, their templates filled in.
	Annotations map[string]string `json:"annotations"`
}

// alerts answers which alerts fire in which minutes of a History, by the engine that a server evaluates rules with.
func alerts(in io.Reader, out *json.Encoder) (err error) {
	var history History
	if err := json.NewDecoder(in).Decode(&history); err != nil {
		return err
	}
	suite, err := promqltest.NewLazyLoader("load 1m\n  "+strings.Join(history.Series, "\n  "), promqltest.LazyLoaderOpts{})
	if err != nil {
		return err
	}
	defer func() {
		if closed := suite.Close(); err == nil {
			err = closed
		}
	}()
	groups, err := load(suite, history.Rules)
	if err != nil {
		return err
	}
	fire := []Alert{}
	for minute := range history.Minutes + 1 {
		at := time.Unix(int64(minute)*60, 0).UTC()
		var failed error
		suite.WithSamplesTill(at, func(err error) {
			failed = err
			for _, group := range groups {
				group.Eval(suite.Context(), at)
			}
		})
		if failed != nil {
			return failed
		}
		for _, group := range groups {
			for _, rule := range group.AlertingRules() {
				if err := rule.LastError(); err != nil {
					return fmt.Errorf("%s in minute %d: %w", rule.Name(), minute, err)
				}
				for _, active := range rule.ActiveAlerts() {
					if active.State == rules.StateFiring {
						of := active.Labels.Map()
						delete(of, labels.AlertName)
						fire = append(fire, Alert{minute, rule.Name(), of, active.Annotations.Map()})
					}
				}
			}
		}
	}
	return out.Encode(fire)
}

func load(suite *promqltest.LazyLoader, text string) (map[string]*rules.Group, error) {
	parse := parser.NewParser(parser.Options{})
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc:   rules.EngineQueryFunc(suite.QueryEngine(), suite.Storage()),
		Appendable:  suite.Storage(),
		Context:     context.Background(),
		NotifyFunc:  func(context.Context, string, ...*rules.Alert) {},
		Logger:      slog.New(slog.DiscardHandler),
		Parser:      parse,
		GroupLoader: given{parse},
	})
	groups, failures := manager.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, text)
	if len(failures) > 0 {
		return nil, failures[0]
	}
	return groups, nil
}

// given loads the rules that stand where Prometheus has the name of a file.
type given struct{ parser.Parser }

func (given given) Load(text string, unknown bool, names model.ValidationScheme) (*rulefmt.RuleGroups, []error) {
	return rulefmt.Parse([]byte(text), unknown, names, given.Parser, slog.New(slog.DiscardHandler))
}

func (given given) Parse(query string) (parser.Expr, error) {
	return given.ParseExpr(query)
}
