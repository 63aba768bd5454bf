metadata description = 'The rules that page people, from alert-rules.json. Each has a runbook.'

param location string
param tags object
param workspaceId string
param actionGroupId string
@description('Where docs/runbooks/ can be read, with a slash at the end; empty: rules name the file alone.')
param runbookBaseUrl string

var rules = loadJsonContent('../alert-rules.json')

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: 'fleetcert-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'fleetcert: ${rule.title}'
      description: '${rule.meaning} Runbook: ${runbookBaseUrl}docs/runbooks/${rule.name}.md'
      severity: rule.severity
      enabled: true
      autoMitigate: true
      scopes: [workspaceId]
      evaluationFrequency: rule.every
      windowSize: rule.window
      criteria: {
        allOf: [
          {
            query: join(rule.query, '\n')
            timeAggregation: rule.aggregation
            metricMeasureColumn: rule.column
            operator: rule.operator
            threshold: rule.threshold
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: [actionGroupId]
        customProperties: {
          runbook: '${runbookBaseUrl}docs/runbooks/${rule.name}.md'
        }
      }
      // The app's metrics come into being with its first telemetry, after this.
      skipQueryValidation: true
    }
  }
]
