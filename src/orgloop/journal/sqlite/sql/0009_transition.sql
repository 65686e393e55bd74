-- What moved a delivery has one name everywhere.

ALTER TABLE steps RENAME COLUMN happening TO transition;
