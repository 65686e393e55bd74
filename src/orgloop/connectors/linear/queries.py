"""What is asked of Linear's API. Every query is fixed; a test validates each against Linear's schema.

Lists ask for ids and times only: a list costs as much as it may hold, not as much as it holds.
"""

from __future__ import annotations

from typing import Final

VIEWER: Final = """
query Viewer {
  viewer { id name email app }
  organization { id name urlKey }
}
"""

TEAMS: Final = """
query Teams($filter: TeamFilter!) {
  teams(filter: $filter, first: 1) { nodes { id key name } }
}
"""

ISSUES: Final = """
query ChangedIssues($filter: IssueFilter!, $after: String) {
  issues(filter: $filter, first: 50, after: $after, orderBy: updatedAt, includeArchived: true) {
    nodes { id updatedAt }
    pageInfo { hasNextPage endCursor }
  }
}
"""

COMMENTS: Final = """
query ChangedComments($filter: CommentFilter!, $after: String) {
  comments(filter: $filter, first: 50, after: $after, orderBy: updatedAt, includeArchived: true) {
    nodes { id updatedAt }
    pageInfo { hasNextPage endCursor }
  }
}
"""

_PEOPLE: Final = """
fragment Person on User { id name app }
fragment Bot on ActorBot { id type name }
"""

ISSUE: Final = (
    """
query Issue($id: String!, $after: String) {
  issue(id: $id) {
    id identifier title description url createdAt updatedAt priority
    team { id key name }
    state { id name type }
    creator { ...Person }
    botActor { ...Bot }
    externalUserCreator { id name }
    assignee { ...Person }
    delegate { ...Person }
    project { id name }
    cycle { id number name }
    labels(first: 50) { nodes { id name } }
    history(first: 10, after: $after) {
      nodes {
        id createdAt updatedAt
        actor { ...Person }
        botActor { ...Bot }
        fromState { id name type } toState { id name type }
        fromAssignee { ...Person } toAssignee { ...Person }
        fromDelegate { ...Person } toDelegate { ...Person }
        fromProject { id name } toProject { id name }
        fromCycle { id number name } toCycle { id number name }
        fromPriority toPriority
        addedLabels { id name } removedLabels { id name }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
}
"""
    + _PEOPLE
)

COMMENT: Final = (
    """
query Comment($id: String!) {
  comment(id: $id) {
    id body url createdAt updatedAt parentId
    user { ...Person }
    botActor { ...Bot }
    externalUser { id name }
    issue {
      id identifier title url
      team { id key name }
      project { id name }
      assignee { name }
      creator { name }
    }
  }
}
"""
    + _PEOPLE
)

TARGET: Final = """
query Target($id: String!) {
  issue(id: $id) { id identifier url team { id } }
}
"""

STATES: Final = """
query States($filter: WorkflowStateFilter!) {
  workflowStates(filter: $filter, first: 10) { nodes { id name } }
}
"""

USERS: Final = """
query Users($filter: UserFilter!) {
  users(filter: $filter, first: 10) { nodes { id name } }
}
"""

LABELS: Final = """
query Labels($filter: IssueLabelFilter!) {
  issueLabels(filter: $filter, first: 50) { nodes { id name team { id } } }
}
"""

PROJECTS: Final = """
query Projects($filter: ProjectFilter!) {
  projects(filter: $filter, first: 10) { nodes { id name } }
}
"""

CREATE_COMMENT: Final = """
mutation CreateComment($input: CommentCreateInput!) {
  commentCreate(input: $input) { success comment { id url } }
}
"""

CREATE_ISSUE: Final = """
mutation CreateIssue($input: IssueCreateInput!) {
  issueCreate(input: $input) { success issue { id identifier url } }
}
"""

UPDATE_ISSUE: Final = """
mutation UpdateIssue($id: String!, $input: IssueUpdateInput!) {
  issueUpdate(id: $id, input: $input) { success issue { id identifier url } }
}
"""

FIND_COMMENT: Final = """
query FindComment($id: String!) {
  comment(id: $id) { id url }
}
"""

CREATE_ACTIVITY: Final = """
mutation CreateActivity($input: AgentActivityCreateInput!) {
  agentActivityCreate(input: $input) { success agentActivity { id } }
}
"""

FIND_ACTIVITY: Final = """
query FindActivity($id: String!) {
  agentActivity(id: $id) { id }
}
"""
