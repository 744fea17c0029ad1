package main

import "github.com/spf13/cobra"

func newControllerCommand(c *connection) *cobra.Command { return &cobra.Command{Use: "controller"} }
