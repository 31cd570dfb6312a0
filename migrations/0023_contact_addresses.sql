-- migrate:up
-- Contacts by their address, in any case and with surrounding spaces: an import looks them up (docs/importing.md).
create index contacts_address on crm.contacts (organization_id, lower(btrim(email)));
