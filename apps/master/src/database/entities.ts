import type { LimitPair, QuotaLimit, RateLimit, ReplicaStatus } from '#model';
import { Column, CreateDateColumn, Entity, PrimaryColumn, UpdateDateColumn, VersionColumn } from 'typeorm';

/*
 * The rows that services read and write through TypeORM. Chain, revisions, markers, audit and idempotency are written
 * by a few hand-made statements (publishing/, writes/) and have no entity.
 */

@Entity('environment')
export class EnvironmentRow {
  @PrimaryColumn('text') id!: string;
  @Column('integer') position!: number;
  @CreateDateColumn({ type: 'timestamptz', name: 'created_at' }) createdAt!: Date;
}

@Entity('region')
export class RegionRow {
  @PrimaryColumn('text') id!: string;
  @Column('text', { name: 'environment_id' }) environment!: string;
  @CreateDateColumn({ type: 'timestamptz', name: 'created_at' }) createdAt!: Date;
}

@Entity('join_token')
export class JoinTokenRow {
  @PrimaryColumn('uuid') id!: string;
  @Column('bytea', { name: 'token_hash' }) tokenHash!: Buffer;
  @Column('text', { name: 'region_id' }) region!: string;
  @Column('integer', { name: 'max_uses' }) maxUses!: number;
  @Column('integer') uses!: number;
  @Column('timestamptz', { name: 'expires_at' }) expiresAt!: Date;
  @CreateDateColumn({ type: 'timestamptz', name: 'created_at' }) createdAt!: Date;
  @Column('text', { name: 'created_by' }) createdBy!: string;
}

@Entity('replica')
export class ReplicaRow {
  @PrimaryColumn('text') id!: string;
  @Column('text', { name: 'region_id' }) region!: string;
  @Column('bytea', { name: 'token_hash', select: false }) tokenHash!: Buffer;
  @Column('text') build!: string;
  @CreateDateColumn({ type: 'timestamptz', name: 'joined_at' }) joinedAt!: Date;
  @Column('jsonb', { nullable: true }) status!: ReplicaStatus | null;
  @Column('timestamptz', { name: 'reported_at', nullable: true }) reportedAt!: Date | null;
}

@Entity('plan')
export class PlanRow {
  @PrimaryColumn('text') id!: string;
  @Column('jsonb', { nullable: true }) rate!: RateLimit | null;
  @Column('jsonb', { nullable: true }) quota!: QuotaLimit | null;
  @Column('jsonb', { name: 'per_route', nullable: true }) perRoute!: LimitPair | null;
  @Column('jsonb', { name: 'per_api', nullable: true }) perApi!: LimitPair | null;
  @VersionColumn() version!: number;
  @CreateDateColumn({ type: 'timestamptz', name: 'created_at' }) createdAt!: Date;
  @UpdateDateColumn({ type: 'timestamptz', name: 'updated_at' }) updatedAt!: Date;
}

@Entity('api')
export class ApiRow {
  /** `weather:v1` */
  @PrimaryColumn('text') id!: string;
  @Column('text') name!: string;
  @Column('text') version!: string;
  @Column('text') context!: string;
  @CreateDateColumn({ type: 'timestamptz', name: 'created_at' }) createdAt!: Date;
  @Column('text', { name: 'created_by' }) createdBy!: string;
}

@Entity('release')
export class ReleaseRow {
  @PrimaryColumn('bytea') digest!: Buffer;
  @Column('text', { name: 'api_id' }) api!: string;
  /** canonical JSON; its SHA-256 is the digest */
  @Column('bytea', { select: false }) definition!: Buffer;
  @Column('text', { array: true }) plans!: string[];
  @Column('integer') routes!: number;
  @Column('jsonb', { nullable: true }) report!: object | null;
  @CreateDateColumn({ type: 'timestamptz', name: 'created_at' }) createdAt!: Date;
  @Column('text', { name: 'created_by' }) createdBy!: string;
}

@Entity('placement')
export class PlacementRow {
  @PrimaryColumn('text', { name: 'environment_id' }) environment!: string;
  @PrimaryColumn('text', { name: 'api_id' }) api!: string;
  @PrimaryColumn('text') region!: string;
  @Column('bytea') digest!: Buffer;
  @VersionColumn() version!: number;
  @UpdateDateColumn({ type: 'timestamptz', name: 'updated_at' }) updatedAt!: Date;
  @Column('text', { name: 'updated_by' }) updatedBy!: string;
}

@Entity('application')
export class ApplicationRow {
  @PrimaryColumn('uuid') id!: string;
  @Column('text') name!: string;
  @Column('text', { nullable: true }) owner!: string | null;
  @Column('text') status!: 'active' | 'suspended';
  @VersionColumn() version!: number;
  @CreateDateColumn({ type: 'timestamptz', name: 'created_at' }) createdAt!: Date;
  @UpdateDateColumn({ type: 'timestamptz', name: 'updated_at' }) updatedAt!: Date;
}

@Entity('subscription')
export class SubscriptionRow {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'application_id' }) application!: string;
  @Column('text', { name: 'api_id' }) api!: string;
  @Column('text', { name: 'plan_id' }) plan!: string;
  @VersionColumn() version!: number;
  @CreateDateColumn({ type: 'timestamptz', name: 'created_at' }) createdAt!: Date;
  @UpdateDateColumn({ type: 'timestamptz', name: 'updated_at' }) updatedAt!: Date;
}

@Entity('api_key')
export class ApiKeyRow {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'application_id' }) application!: string;
  @Column('text', { name: 'environment_id' }) environment!: string;
  @Column('bytea', { select: false }) hash!: Buffer;
  /** the beginning of the secret, for people to tell keys apart; null for imported hashes */
  @Column('text', { nullable: true }) hint!: string | null;
  @Column('text', { nullable: true }) name!: string | null;
  /** null: none */
  @Column('text', { array: true, nullable: true }) scopes!: string[] | null;
  /** addresses and CIDR blocks; null: from anywhere */
  @Column('text', { array: true, nullable: true }) ips!: string[] | null;
  @Column('timestamptz', { name: 'expires_at', nullable: true }) expiresAt!: Date | null;
  @Column('timestamptz', { name: 'revoked_at', nullable: true }) revokedAt!: Date | null;
  @Column('text', { name: 'revoked_reason', nullable: true }) revokedReason!: string | null;
  @Column('uuid', { name: 'replaced_by', nullable: true }) replacedBy!: string | null;
  /** the hour of its last use that replicas have told of */
  @Column('timestamptz', { name: 'last_used_at', nullable: true }) lastUsedAt!: Date | null;
  @VersionColumn() version!: number;
  @CreateDateColumn({ type: 'timestamptz', name: 'created_at' }) createdAt!: Date;
  @Column('text', { name: 'created_by' }) createdBy!: string;
}

export const ROLES = ['admin', 'publisher', 'operator', 'viewer'] as const;
export type Role = (typeof ROLES)[number];

@Entity('access_token')
export class AccessTokenRow {
  @PrimaryColumn('uuid') id!: string;
  @Column('text') name!: string;
  @Column('text') role!: Role;
  @Column('bytea', { name: 'token_hash', select: false }) tokenHash!: Buffer;
  @CreateDateColumn({ type: 'timestamptz', name: 'created_at' }) createdAt!: Date;
  @Column('text', { name: 'created_by' }) createdBy!: string;
  @Column('timestamptz', { name: 'expires_at', nullable: true }) expiresAt!: Date | null;
}

export const ENTITIES = [
  EnvironmentRow,
  RegionRow,
  JoinTokenRow,
  ReplicaRow,
  PlanRow,
  ApiRow,
  ReleaseRow,
  PlacementRow,
  ApplicationRow,
  SubscriptionRow,
  ApiKeyRow,
  AccessTokenRow,
];
