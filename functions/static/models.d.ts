/** What the API answers, as far as this page reads it. A test holds it to the OpenAPI document. */

export type State =
  | "unknown" | "provisional" | "valid" | "due" | "dispatching" | "commanded" | "overdue" | "expired" | "disabled"
  | "retired";

export interface MeAnswer {
  name: string;
  objectId: string;
  appId: string;
  roles: string[];
  revocation: boolean;
}

export interface SnapshotAnswer {
  asOf: string;
  total: number;
  states: Record<string, number>;
  topReasons: ReasonAnswer[];
  expiry: Record<string, number>;
  renewals: RenewalsAnswer[];
}

export interface ReasonAnswer {
  reason: string;
  count: number;
}

export interface RenewalsAnswer {
  day: string;
  count: number;
}

export interface SummaryAnswer {
  snapshot: SnapshotAnswer | null;
}

export interface DeviceLineAnswer {
  deviceId: string;
  state: State;
  reason: string;
  enrollmentGroup: string | null;
  tags: Record<string, string>;
  validFrom: string | null;
  validUntil: string | null;
  evidence: string | null;
}

export interface PageAnswer {
  devices: DeviceLineAnswer[];
  cursor: string | null;
  partial: boolean;
}

export interface CertificateAnswer {
  validFrom: string;
  validUntil: string;
  evidence: string;
  firstSeen: string;
  thumbprint: string | null;
  serialNumber: string | null;
  issuer: string | null;
  keyAlgorithm: string | null;
}

export interface OnboardingAnswer {
  thumbprint: string | null;
  validUntil: string | null;
}

export interface CommandAnswer {
  id: string;
  attempt: number;
  reason: string;
  sentAt: string | null;
  expiresAt: string;
}

export interface ContainmentAnswer {
  requestedBy: string;
  requestedAt: string;
  reason: string;
  hubBefore: string | null;
  hubDisabledAt: string | null;
  enrollmentBefore: string | null;
  block: string | null;
  blockedAt: string | null;
  purgedAt: string | null;
  registryBefore: string | null;
  registryDisabledAt: string | null;
  disconnectedAt: string | null;
  refusedAt: string | null;
  passedAt: string | null;
  isVerified: boolean;
  release: ReleaseAnswer | null;
}

export interface ReleaseAnswer {
  requestedBy: string;
  requestedAt: string;
  reason: string;
  registryRestoredAt: string | null;
  enrollmentRestoredAt: string | null;
  identityRestoredAt: string | null;
  outcomes: Record<string, string>;
}

export interface RevocationAnswer {
  requestedBy: string;
  requestedAt: string;
  reason: string;
  revokedAt: string | null;
  finishedAt: string | null;
  failure: string | null;
}

export interface DeviceAnswer {
  deviceId: string;
  registrationId: string;
  hub: string;
  state: State;
  reason: string;
  enrollmentGroup: string | null;
  tags: Record<string, string>;
  certificate: CertificateAnswer | null;
  onboarding: OnboardingAnswer | null;
  command: CommandAnswer | null;
  containment: ContainmentAnswer | null;
  revocation: RevocationAnswer | null;
  attempts: number;
  firstSeen: string;
  updatedAt: string;
  nextDeadline: string | null;
}

export interface ActorAnswer {
  name: string;
  objectId: string;
}

export interface PauseAnswer {
  id: string;
  tag: string | null;
  until: string;
  actor: ActorAnswer;
  reason: string;
  ruledAt: string;
}

export interface SuppressionAnswer {
  id: string;
  alertType: string;
  device: string;
  until: string;
  actor: ActorAnswer;
  reason: string;
  ruledAt: string | null;
}

export interface RulingsAnswer {
  pauses: PauseAnswer[];
  suppressions: SuppressionAnswer[];
}

export interface ChangeAnswer {
  at: string;
  kind: string;
  actor: ActorAnswer;
  reason: string;
  details: Record<string, string>;
  eventId: string;
}

export interface HistoryAnswer {
  changes: ChangeAnswer[];
  cursor: string | null;
}

export interface FailureAnswer {
  deviceId: string;
  reason: string;
}

export interface CancellationAnswer {
  actor: ActorAnswer;
  reason: string;
  requestedAt: string;
}

export interface OperationAnswer {
  id: string;
  kind: string;
  state: string;
  actor: ActorAnswer;
  reason: string;
  createdAt: string;
  updatedAt: string;
  finishedAt: string | null;
  parameters: Record<string, string>;
  total: number | null;
  done: number;
  failed: number;
  failures: FailureAnswer[];
  result: Record<string, string>;
  problem: string;
  cancellation: CancellationAnswer | null;
}

export interface OperationPageAnswer {
  operations: OperationAnswer[];
  cursor: string | null;
}
