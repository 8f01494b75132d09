// Alerts about the health of Sasquash itself. It reports leaks by its own mails and incidents.
import { tagMap } from 'types.bicep'

@description('Name of the environment.')
param environmentName string

@description('Region.')
param location string

@description('Tags.')
param tags tagMap

@description('The mailbox that gets the alerts.')
param mailbox string

@description('Id of the workspace that is queried.')
param workspaceId string

@description('Id of the workspace of a separate intake; empty for none.')
param intakeWorkspaceId string

@description('Id of the topic whose deliveries are watched.')
param topicId string

@description('Name of the app of a separate intake; empty for none.')
param intakeName string

@description('Whether the intake can be reached from the internet: from there it is asked whether it answers.')
param intakeIsPublic bool

// `reach` is how far back a query reads: a span is stored under its start time. An alert stays fired until its query
// finds nothing.
var rules = [
  {
    name: 'failed-record'
    display: 'Revocation failed'
    description: 'Revocation failed, or the credential still works. The record says why, and what to do.'
    severity: 1
    reach: 'P2D'
    query: loadTextContent('../queries/failed-records.kql')
  }
  {
    name: 'unproven-record'
    display: 'Revocation not verified after 15 minutes'
    description: 'The action ran, but the credential is not verified revoked. Treat it as valid.'
    severity: 1
    reach: 'P2D'
    query: loadTextContent('../queries/unproven-records.kql')
  }
  {
    name: 'poison-message'
    display: 'Message failed repeatedly'
    description: 'A function failed five times on one message. Its record is failed and says so. The leak may still be open.'
    severity: 1
    reach: 'PT1H'
    query: loadTextContent('../queries/poison-messages.kql')
  }
  {
    name: 'poison-queue'
    display: 'Poison queue does not empty'
    description: 'Messages that failed repeatedly are not recorded either, or reach no function any more: docs/operations.md.'
    severity: 1
    reach: 'PT1H'
    query: loadTextContent('../queries/poison-queues.kql')
  }
  {
    name: 'refusal'
    display: 'Azure refused a request of the identity'
    description: 'A right is missing, or a policy denies it. docs/rights.md lists the required rights.'
    severity: 2
    reach: 'PT1H'
    query: loadTextContent('../queries/refusals.kql')
  }
  {
    name: 'not-ready'
    display: 'Storage account not ready for revocation'
    description: 'The daily check found an obstacle to a revocation: docs/operations.md.'
    severity: 3
    reach: 'P1D'
    query: loadTextContent('../queries/not-ready.kql')
  }
  {
    name: 'broken-history'
    display: 'History of a record was changed'
    description: 'A line was changed, removed or added after it was written. Treat the identity as compromised: docs/security.md.'
    severity: 0
    reach: 'P1D'
    query: loadTextContent('../queries/broken-histories.kql')
  }
  {
    name: 'late-copy'
    display: 'History is not copied'
    description: 'Lines of histories wait for hours. Until they are copied, nobody can tell whether they were changed: docs/operations.md.'
    severity: 2
    reach: 'PT1H'
    query: loadTextContent('../queries/late-copies.kql')
  }
  {
    name: 'failed-drill'
    display: 'Drill failed'
    description: 'The leak on the drill account was not revoked and verified in time: docs/operations.md.'
    severity: 1
    reach: 'PT6H'
    query: loadTextContent('../queries/failed-drills.kql')
  }
]

var refusalsOfIntake = {
  name: 'intake-refusal'
  display: 'Azure refused a request of the intake'
  description: 'A right of the intake is missing, or a policy denies it. docs/rights.md lists the required rights.'
  severity: 2
  reach: 'PT1H'
  query: loadTextContent('../queries/refusals.kql')
}
var watched = concat(
  map(rules, rule => {
    rule: rule
    workspaceId: workspaceId
  }),
  empty(intakeWorkspaceId)
    ? []
    : [
        {
          rule: refusalsOfIntake
          workspaceId: intakeWorkspaceId
        }
      ]
)

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-sasquash-${environmentName}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'sasquash'
    enabled: true
    emailReceivers: [
      {
        name: 'security'
        emailAddress: mailbox
        useCommonAlertSchema: true
      }
    ]
  }
}

resource found 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for watch in watched: {
    name: 'alert-sasquash-${environmentName}-${watch.rule.name}'
    location: location
    tags: tags
    properties: {
      displayName: '${watch.rule.display} (${environmentName})'
      description: watch.rule.description
      severity: watch.rule.severity
      enabled: true
      autoMitigate: true
      scopes: [
        watch.workspaceId
      ]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT1H'
      overrideQueryTimeRange: watch.rule.reach
      // A new workspace has no table of Application Insights yet, and the query would be refused.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: watch.rule.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: [
          people.id
        ]
      }
    }
  }
]

resource stopped 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'alert-sasquash-${environmentName}-stopped'
  location: location
  tags: tags
  properties: {
    displayName: 'Responder is not running (${environmentName})'
    description: 'The sweep, which runs each minute, did not run for 15 minutes. Findings wait in Event Grid for a day.'
    severity: 0
    enabled: true
    autoMitigate: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: loadTextContent('../queries/sweeps.kql')
          timeAggregation: 'Count'
          operator: 'LessThan'
          threshold: 1
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: [
        people.id
      ]
    }
  }
}

resource undelivered 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for metric in [
    'DeadLetteredCount'
    'DroppedEventCount'
  ]: {
    name: 'alert-sasquash-${environmentName}-${metric}'
    location: 'global'
    tags: tags
    properties: {
      description: 'Event Grid could not deliver a finding. Dead letters are collected within five minutes. A dropped event is lost.'
      severity: 1
      enabled: true
      autoMitigate: true
      scopes: [
        topicId
      ]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT5M'
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: metric
            metricNamespace: 'Microsoft.EventGrid/topics'
            metricName: metric
            timeAggregation: 'Total'
            operator: 'GreaterThan'
            threshold: 0
          }
        ]
      }
      actions: [
        {
          actionGroupId: people.id
        }
      ]
    }
  }
]

// The intake's host starts with the first request, and scales to zero: without one nothing shows that it can't start. Then it
// answers 503 on every route (Azure/azure-functions-host, HostAvailabilityCheckMiddleware), logs and traces nothing, and its
// metric HealthCheckStatus stays empty, since Flex Consumption has no health check (microsoft/azure-skills, "Azure
// Functions — Reliability Reference"). So it is asked from outside, and its own count of server errors is read, too.
var withProbe = !empty(intakeName) && intakeIsPublic && environment().name == 'AzureCloud'
var probeName = 'test-sasquash-${environmentName}-intake'
var insightsId = resourceId('Microsoft.Insights/components', 'appi-sasquash-${environmentName}')

resource intake 'Microsoft.Web/sites@2024-11-01' existing = if (!empty(intakeName)) {
  name: empty(intakeName) ? 'none' : intakeName
}

// learn.microsoft.com, "Application Insights availability tests": standard test, locations by their population tags.
resource probe 'Microsoft.Insights/webtests@2022-06-15' = if (withProbe) {
  name: probeName
  location: location
  tags: union(tags, {
    'hidden-link:${insightsId}': 'Resource'
  })
  kind: 'standard'
  properties: {
    Name: probeName
    SyntheticMonitorId: probeName
    Description: 'Whether the intake answers.'
    Enabled: true
    Kind: 'standard'
    Frequency: 900
    Timeout: 30
    RetryEnabled: true
    Locations: [
      {
        Id: 'emea-nl-ams-azr'
      }
      {
        Id: 'emea-gb-db3-azr'
      }
      {
        Id: 'us-va-ash-azr'
      }
    ]
    Request: {
      RequestUrl: 'https://${intake!.properties.defaultHostName}/api/health'
      HttpVerb: 'GET'
      ParseDependentRequests: false
    }
    ValidationRules: {
      ExpectedHttpStatusCode: 200
    }
  }
}

resource unanswered 'Microsoft.Insights/metricAlerts@2018-03-01' = if (withProbe) {
  name: 'alert-sasquash-${environmentName}-intake-unanswered'
  location: 'global'
  tags: tags
  properties: {
    description: 'The intake does not answer: its host does not start, or it cannot reach its queue. Reports are lost meanwhile: docs/operations.md.'
    severity: 1
    enabled: true
    autoMitigate: true
    scopes: [
      probe.id
      insightsId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT30M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria'
      webTestId: probe.id
      componentId: insightsId
      failedLocationCount: 2
    }
    actions: [
      {
        actionGroupId: people.id
      }
    ]
  }
}

// In every cloud, and without telemetry: the platform counts what the app answers ("Supported metrics for Microsoft.Web/sites").
// Three locations of the test make more than two such answers within 30 minutes; one report that failed once does not.
resource failing 'Microsoft.Insights/metricAlerts@2018-03-01' = if (!empty(intakeName)) {
  name: 'alert-sasquash-${environmentName}-intake-errors'
  location: 'global'
  tags: tags
  properties: {
    description: 'The intake answers with server errors: its host does not start, or it cannot publish findings. Reports are lost meanwhile: docs/operations.md.'
    severity: 1
    enabled: true
    autoMitigate: true
    scopes: [
      intake.id
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT30M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'Http5xx'
          metricNamespace: 'Microsoft.Web/sites'
          metricName: 'Http5xx'
          timeAggregation: 'Total'
          operator: 'GreaterThan'
          threshold: 2
        }
      ]
    }
    actions: [
      {
        actionGroupId: people.id
      }
    ]
  }
}
